namespace MLFramework.Cpu.Tests;

[CancelAfter(30_000)]
public sealed class ComputeTeamTests
{
    [Test]
    public void Members_share_the_items_of_each_phase_and_see_what_the_others_did([Values(1, 2, 3)] int size, [Values(1, 4)] int grain)
    {
        const int Phases = 50, Items = 37;
        using var team = new ComputeTeam(size);
        for (int run = 0; run < 20; run++)
        {
            var counts = new int[Phases, Items];
            team.Run(new Job((t, _) =>
            {
                for (int phase = 0; phase < Phases; phase++)
                {
                    while (t.TryTake(Items, grain, out int first, out int end))
                        for (int item = first; item < end; item++) counts[phase, item] = phase == 0 ? 1 : counts[phase - 1, Items - 1 - item] + 1;
                    t.Barrier();
                }
            }));
            Assert.That(Enumerable.Range(0, Items).Select(item => counts[Phases - 1, item]), Is.All.EqualTo(Phases));
        }
    }

    [Test]
    public void Shares_hold_every_item_once_and_tell_the_next_within_them([Values(1, 2, 3)] int size, [Values(1, 4, 50)] int grain)
    {
        const int Items = 37;
        using var team = new ComputeTeam(size);
        var counts = new int[Items];
        team.Run(new Job((t, _) =>
        {
            ItemShares shares = t.Share(Items, grain);
            while (shares.MoveNext())
            {
                Interlocked.Increment(ref counts[shares.Current]);
                bool isLast = (shares.Current + 1) % grain == 0 || shares.Current + 1 == Items;
                Assert.That(shares.Next, Is.EqualTo(shares.Current + 1 + (isLast ? (size - 1) * grain : 0)));
            }
        }));
        Assert.That(counts, Is.All.EqualTo(1));
    }

    [Test]
    public void A_failing_member_ends_the_job_and_the_team_goes_on([Values(1, 2, 3)] int size, [Values(0, 1)] int failing)
    {
        using var team = new ComputeTeam(size);
        int member = Math.Min(failing, size - 1), completed = 0;
        for (int run = 0; run < 20; run++)
        {
            Assert.That(() => team.Run(new Job((t, m) =>
            {
                t.Barrier();
                if (m == member) throw new InvalidDataException("No.");
                t.Barrier();
                t.Barrier();
            })), Throws.TypeOf<InvalidDataException>());
            team.Run(new Job((t, _) =>
            {
                t.Barrier();
                Interlocked.Increment(ref completed);
            }));
        }
        Assert.That(completed, Is.EqualTo(20 * size));
    }

    [Test]
    [Platform(Include = "Linux")]
    public void A_pinned_thread_stays_on_its_processor_and_the_callers_is_left_alone()
    {
        string before = Allowed();
        int[] processors = [.. HostMachine.This.Cores.Concat(HostMachine.This.Cores).Take(2)];
        if (processors.Length == 0) Assert.Ignore("The machine does not tell which processors there are.");
        var allowed = new string[2];
        using (var team = new ComputeTeam(2, processors)) team.Run(new Job((_, member) => allowed[member] = Allowed()));

        Assert.That(allowed, Is.EqualTo(new[] { before, $"{processors[1]}" }));
    }

    [Test]
    public void A_processor_that_there_is_not_is_no_harm()
    {
        int ran = 0;
        using (var team = new ComputeTeam(3, [0, -1, 1_000_000])) team.Run(new Job((_, _) => Interlocked.Increment(ref ran)));
        Assert.That(ran, Is.EqualTo(3));
    }

    [Test]
    public void A_team_that_was_disposed_refuses()
    {
        var team = new ComputeTeam(2);
        team.Dispose();
        team.Dispose();
        Assert.That(() => team.Run(new Job((_, _) => { })), Throws.TypeOf<ObjectDisposedException>());
    }

    /// <summary>Where the calling thread may run.</summary>
    private static string Allowed() =>
        File.ReadLines("/proc/thread-self/status").First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split(':')[1].Trim();

    private sealed class Job(Action<ComputeTeam, int> part) : ITeamJob
    {
        public void Execute(ComputeTeam team, int member) => part(team, member);
    }
}
