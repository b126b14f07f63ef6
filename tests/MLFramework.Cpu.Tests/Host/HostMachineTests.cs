namespace MLFramework.Cpu.Tests;

/// <summary>What machines say of themselves, as trees of files in a folder.</summary>
public sealed class HostMachineTests
{
    private const long GiB = 1L << 30;

    private readonly string _root = Directory.CreateTempSubdirectory("host").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_root, recursive: true);

    [Test]
    public void Two_hardware_threads_of_a_core_count_once()
    {
        Allow("0-7");
        for (int i = 0; i < 8; i++) Siblings(i, $"{i % 4},{i % 4 + 4}");

        Assert.That(Machine(8).Cores, Is.EqualTo(new[] { 0, 1, 2, 3 }));
        Assert.That(Machine(8).CoreCount, Is.EqualTo(4));
    }

    [Test]
    public void Only_processors_that_the_process_may_run_on_count()
    {
        Allow("1,4-6");
        for (int i = 0; i < 8; i++) Siblings(i, $"{i % 4},{i % 4 + 4}");

        // 1 and 5 are one core; 4 is the second thread of core 0, whose first is not allowed.
        Assert.That(Machine(4).Cores, Is.EqualTo(new[] { 1, 4, 6 }));
    }

    [Test]
    public void A_quota_of_processor_time_limits_the_threads()
    {
        Allow("0-7");
        for (int i = 0; i < 8; i++) Siblings(i, $"{i}");

        Assert.That(Machine(processors: 3).CoreCount, Is.EqualTo(3));
    }

    [TestCase("")]
    [TestCase("0-3,oops")]
    [TestCase("0-99999999999")]
    [TestCase("0-99999999")]
    public void What_cannot_be_read_leaves_the_count_of_processors(string allowed)
    {
        Allow(allowed);
        for (int i = 0; i < 4; i++) Siblings(i, "0-3");

        Assert.That((Machine(4).CoreCount, Machine(4).Cores.Count), Is.EqualTo((4, 0)));
    }

    [Test]
    public void Without_a_topology_every_processor_counts()
    {
        Allow("0-3");

        Assert.That(Machine(4).CoreCount, Is.EqualTo(4));
        Assert.That(new HostMachine(null, 4, GiB).CoreCount, Is.EqualTo(4));
    }

    [Test]
    public void Available_memory_is_what_the_kernel_says_if_nothing_is_tighter()
    {
        Write("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n");

        Assert.That(Machine(1).FindAvailableMemory(), Is.EqualTo(8 * GiB));
        Assert.That(Machine(1, memory: 3 * GiB).FindAvailableMemory(), Is.EqualTo(3 * GiB));
    }

    [Test]
    public void The_tightest_group_of_version_2_limits_it_and_pages_of_files_do_not_count()
    {
        Write("/proc/self/cgroup", "0::/service/worker\n");
        Write("/sys/fs/cgroup/service/worker/memory.max", "max\n");
        Write("/sys/fs/cgroup/service/worker/memory.current", $"{GiB}\n");
        Write("/sys/fs/cgroup/service/memory.max", $"{4 * GiB}\n");
        Write("/sys/fs/cgroup/service/memory.current", $"{3 * GiB}\n");
        Write("/sys/fs/cgroup/service/memory.stat", $"anon 1\ninactive_file {GiB}\nactive_file 5\n");

        Assert.That(Machine(1, memory: 64 * GiB).FindAvailableMemory(), Is.EqualTo(2 * GiB));
    }

    [Test]
    public void A_container_that_sees_only_its_own_group_is_limited_too()
    {
        Write("/proc/self/cgroup", "0::/not/visible/here\n");
        Write("/sys/fs/cgroup/memory.max", $"{2 * GiB}\n");
        Write("/sys/fs/cgroup/memory.current", $"{GiB / 2}\n");

        Assert.That(Machine(1, memory: 64 * GiB).FindAvailableMemory(), Is.EqualTo(3 * GiB / 2));
    }

    [Test]
    public void Groups_of_version_1_limit_it()
    {
        Write("/proc/self/cgroup", "9:cpu,cpuacct:/a\n4:memory:/a\n0::/\n");
        Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", $"{GiB}\n");
        Write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", $"{GiB / 2}\n");
        Write("/sys/fs/cgroup/memory/a/memory.stat", $"inactive_file 7\ntotal_inactive_file {GiB / 4}\n");
        Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", $"{GiB}\n");

        Assert.That(Machine(1, memory: 64 * GiB).FindAvailableMemory(), Is.EqualTo(3 * GiB / 4));
    }

    [Test]
    public void A_need_beyond_it_is_refused_with_both_numbers()
    {
        Assert.That(() => Machine(1, memory: GiB).RequireMemory(GiB, "the weights"), Throws.Nothing);
        Assert.That(() => Machine(1, memory: GiB).RequireMemory(5 * GiB / 2, "the weights"),
            Throws.TypeOf<InsufficientMemoryException>().With.Message.StartsWith("The weights need 2.50 GiB").And.Message.Contains("1.00 GiB are available"));
    }

    [Test]
    public void This_machine_has_a_core_and_memory()
    {
        Assert.That(HostMachine.This.CoreCount, Is.InRange(1, Environment.ProcessorCount));
        Assert.That(HostMachine.This.FindAvailableMemory(), Is.Positive);
    }

    private HostMachine Machine(int processors, long memory = 64 * GiB) => new(new HostFiles(_root), processors, memory);

    private void Allow(string processors) => Write("/proc/self/status", $"Name:\tmlf\nCpus_allowed:\tff\nCpus_allowed_list:\t{processors}\n");

    private void Siblings(int processor, string list) => Write($"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list", list + "\n");

    private void Write(string path, string text)
    {
        string full = Path.Combine(_root, path.TrimStart('/'));
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }
}
