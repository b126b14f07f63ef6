using System.Globalization;

namespace MLFramework.Cpu;

/// <summary>What the process may use of the machine that it runs on.</summary>
/// <param name="files">Where Linux tells of it; null on other systems, and where .NET's own answers suffice.</param>
/// <param name="processorCount">Logical processors that .NET lets the process use: affinity, cpusets and the quota of the control group (rounded up) are counted in.</param>
/// <param name="memoryBytes">Bytes of memory that the process may have at all, limits of the control group counted in.</param>
internal sealed class HostMachine(HostFiles? files, int processorCount, long memoryBytes)
{
    private const string Processors = "/sys/devices/system/cpu";

    /// <summary>The machine of this process.</summary>
    public static HostMachine This { get; } = new(
        OperatingSystem.IsLinux() ? new HostFiles("/") : null, Environment.ProcessorCount, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);

    /// <summary>
    /// Threads that compute best: one for each physical core that the process may run on, and no more than its quota. Two threads of one core share its vector
    /// units, so a second only makes both wait at every barrier.
    /// </summary>
    public int CoreCount => Cores is { Count: > 0 } cores ? Math.Min(cores.Count, processorCount) : processorCount;

    /// <summary>The first logical processor of each physical core that the process may run on, ascending; empty where the machine does not tell.</summary>
    public IReadOnlyList<int> Cores => field ??= FindCores();

    /// <summary>Bytes that can be taken without swapping, and without going over the limit of a control group.</summary>
    public long FindAvailableMemory()
    {
        long available = memoryBytes;
        if (files?.ReadField("/proc/meminfo", "MemAvailable:") is { } kibibytes) available = Math.Min(available, kibibytes << 10);
        if (files is not null && ControlGroups.FindFreeMemory(files) is { } free) available = Math.Min(available, free);
        return available;
    }

    /// <summary>Refuses what would not fit into memory.</summary>
    /// <param name="bytes">Bytes needed.</param>
    /// <param name="what">What they are needed for, as it stands in a sentence.</param>
    /// <exception cref="InsufficientMemoryException">Fewer are available.</exception>
    public void RequireMemory(long bytes, string what)
    {
        long available = FindAvailableMemory();
        if (bytes > available)
            throw new InsufficientMemoryException(string.Create(CultureInfo.InvariantCulture,
                $"{char.ToUpperInvariant(what[0])}{what[1..]} need {Gibibytes(bytes):0.00} GiB of memory, and {Gibibytes(available):0.00} GiB are available: take a smaller model or quantization, free memory, or raise the container's limit."));
    }

    private static double Gibibytes(long bytes) => bytes / (double)(1L << 30);

    private List<int> FindCores()
    {
        var first = new SortedSet<int>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (int processor in Allowed())
        {
            // The same text for all threads of a core.
            if (files!.Read($"{Processors}/cpu{processor}/topology/thread_siblings_list") is not { } siblings) return [];
            if (seen.Add(siblings.Trim())) first.Add(processor);
        }
        return [.. first];
    }

    private List<int> Allowed()
    {
        const string Key = "Cpus_allowed_list:";
        string? list = files?.Lines("/proc/self/status").FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal));
        return list is null ? [] : ParseList(list[Key.Length..]);
    }

    /// <summary>Parses numbers as the kernel lists them: <c>0-3,8,10-11</c>. Empty if it is something else.</summary>
    private static List<int> ParseList(string text)
    {
        const int Most = 1 << 16;
        var numbers = new List<int>();
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last) || last >= Most) return [];
            for (int i = first; i <= last; i++) numbers.Add(i);
        }
        return numbers;
    }
}
