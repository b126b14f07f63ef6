using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Report;

public class LatencyHistogramTests
{
    private readonly LatencyHistogram _histogram = new();

    [Test]
    public void Quantiles_are_within_four_permille_of_the_sorted_samples()
    {
        var random = new RandomStream(7);
        long[] ticks = [.. Enumerable.Range(0, 100_000).Select(_ => (long)Math.Exp(2 + (3 * random.NextExponential())))];
        foreach (long t in ticks)
        {
            _histogram.Record(TimeSpan.FromTicks(t));
        }

        Array.Sort(ticks);
        foreach (double q in new[] { 0.001, 0.5, 0.9, 0.95, 0.99, 0.9999, 1 })
        {
            long exact = ticks[(int)Math.Ceiling(q * ticks.Length) - 1];
            Assert.That((double)_histogram.Quantile(q).Ticks, Is.EqualTo((double)exact).Within(0.4).Percent, $"quantile {q}");
        }
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(255)]
    [TestCase(256)]
    [TestCase(1_000_000_007)]
    [TestCase(long.MaxValue)]
    public void One_sample_is_found_again_whatever_its_size(long ticks)
    {
        _histogram.Record(TimeSpan.FromTicks(ticks));
        Assert.That((double)_histogram.Quantile(0.5).Ticks, Is.EqualTo((double)ticks).Within(0.4).Percent);
    }

    [Test]
    public void The_summary_has_exact_mean_and_maximum()
    {
        foreach (int ms in new[] { 10, 20, 30, 1000 })
        {
            _histogram.Record(TimeSpan.FromMilliseconds(ms));
        }

        LatencySummary summary = _histogram.Summarize()!;
        Assert.That((summary.Count, summary.Mean, summary.Max), Is.EqualTo((4L, 265.0, 1000.0)));
        Assert.That(summary.P50, Is.EqualTo(20).Within(0.4).Percent);
        Assert.That(summary.P99, Is.EqualTo(1000).Within(0.4).Percent.And.AtMost(1000));
    }

    [Test]
    public void Nothing_has_no_summary()
    {
        Assert.That(_histogram.Summarize(), Is.Null);
        Assert.That(() => _histogram.Quantile(0.5), Throws.InvalidOperationException);
    }

    [Test]
    public void A_negative_duration_is_refused() =>
        Assert.That(() => _histogram.Record(TimeSpan.FromTicks(-1)), Throws.InstanceOf<ArgumentOutOfRangeException>());
}
