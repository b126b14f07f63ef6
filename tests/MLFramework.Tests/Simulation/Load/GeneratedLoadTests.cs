using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class GeneratedLoadTests
{
    private static readonly GeneratedLoad Poisson = new(RequestsPerSecond: 20, Requests: 20_000) { Seed = 5 };

    [TestCase(1, 3)]
    [TestCase(0.5, 3)]
    [TestCase(4, 12)]
    public void Arrivals_have_the_rate_and_burstiness_asked_for(double burstiness, double percent)
    {
        double[] times = [.. (Poisson with { Burstiness = burstiness }).Generate().Select(a => a.Time.TotalSeconds)];
        double[] gaps = [.. times.Zip(times.Skip(1), (a, b) => b - a)];
        double mean = gaps.Average();
        double deviation = Math.Sqrt(gaps.Average(g => (g - mean) * (g - mean)));
        Assert.That(gaps, Has.All.GreaterThanOrEqualTo(0));
        Assert.That(mean, Is.EqualTo(0.05).Within(percent).Percent);
        Assert.That(deviation / mean, Is.EqualTo(burstiness).Within(percent).Percent);
    }

    [Test]
    public void The_same_seed_gives_the_same_load_and_another_does_not()
    {
        static (TimeSpan, int, int)[] first(GeneratedLoad load) => [.. load.Generate().Take(50).Select(a => (a.Time, a.PromptTokens, a.OutputTokens))];
        (TimeSpan, int, int)[] again = first(Poisson with { });
        Assert.That(again, Is.EqualTo(first(Poisson)));
        Assert.That(first(Poisson with { Seed = 6 }), Is.Not.EqualTo(first(Poisson)));
    }

    [Test]
    public void Default_lengths_are_those_of_the_azure_conversations()
    {
        Arrival[] arrivals = [.. Poisson.Generate()];
        Assert.That(arrivals.Average(a => a.PromptTokens), Is.EqualTo(1155).Within(3).Percent);
        Assert.That(arrivals.Average(a => a.OutputTokens), Is.EqualTo(211).Within(5).Percent);
    }

    [Test]
    public void Changing_one_distribution_leaves_the_draws_of_the_others()
    {
        GeneratedLoad changed = Poisson with { PromptTokens = new LengthDistribution(7) };
        Assert.That(changed.Generate().Take(20).Select(a => (a.Time, a.OutputTokens)), Is.EqualTo(Poisson.Generate().Take(20).Select(a => (a.Time, a.OutputTokens))));
    }

    [Test]
    public void Two_loads_of_different_seeds_share_no_content() =>
        Assert.That(
            Poisson.Generate().Take(100).Concat((Poisson with { Seed = 6 }).Generate().Take(100)).Select(a => a.Prompt[0].Id),
            Is.Unique);

    [TestCase(0, 10, 1)]
    [TestCase(double.NaN, 10, 1)]
    [TestCase(1, 0, 1)]
    [TestCase(1, 10, 0)]
    [TestCase(1, 10, 101)]
    public void A_load_out_of_range_is_refused_at_once(double rate, int requests, double burstiness) =>
        Assert.That(() => new GeneratedLoad(rate, requests) { Burstiness = burstiness }.Generate(), Throws.InstanceOf<ArgumentOutOfRangeException>());
}
