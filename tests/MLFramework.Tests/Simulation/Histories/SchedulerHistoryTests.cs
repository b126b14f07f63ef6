using System.Globalization;

namespace MLFramework.Tests.Simulation.Histories;

/// <summary>
/// Thousands of random histories of the real scheduler. <c>MLFRAMEWORK_HISTORY_SEEDS=1000000</c> runs that many,
/// <c>MLFRAMEWORK_HISTORY_SEED=n</c> only the one.
/// </summary>
public class SchedulerHistoryTests
{
    internal const string SeedVariable = "MLFRAMEWORK_HISTORY_SEED";
    private const string CountVariable = "MLFRAMEWORK_HISTORY_SEEDS";
    private const ulong DefaultCount = 2_500;

    [Test]
    public void Every_history_keeps_every_invariant_and_ends_every_request_exactly_once()
    {
        if (ReadVariable(SeedVariable) is { } only)
        {
            History.Run(only);
            Assert.Pass($"Seed {only} holds.");
        }

        ulong count = ReadVariable(CountVariable) ?? DefaultCount;
        var failures = new SortedDictionary<ulong, HistoryException>();
        Parallel.For(1L, (long)count + 1, (seed, loop) =>
        {
            try
            {
                History.Run((ulong)seed);
            }
            catch (HistoryException e)
            {
                lock (failures)
                {
                    failures.Add((ulong)seed, e);
                }

                loop.Break();
            }
        });
        Assert.That(failures.Values.FirstOrDefault()?.ToString(), Is.Null);
    }

    [Test]
    public void A_seed_gives_the_same_history_every_time()
    {
        var first = new HistoryRandom(7);
        var second = new HistoryRandom(7);
        Assert.That(HistorySetup.Draw(first).ToString(), Is.EqualTo(HistorySetup.Draw(second).ToString()));
        Assert.That(first.NextBits(), Is.EqualTo(second.NextBits()));
    }

    private static ulong? ReadVariable(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : null;
}
