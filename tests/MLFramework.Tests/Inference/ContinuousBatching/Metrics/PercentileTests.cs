using FsCheck;
using FsCheck.Fluent;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics;

public class PercentileTests
{
    [Test]
    public void Of_no_samples_there_is_none() => Assert.That(Percentile.OfSorted([], 99), Is.Zero);

    [TestCase(0)]
    [TestCase(50)]
    [TestCase(99)]
    [TestCase(100)]
    public void Of_one_sample_it_is_that_sample(double percent) => Assert.That(Percentile.OfSorted([42], percent), Is.EqualTo(42));

    // Expected values: numpy.percentile([15, 20, 35, 40, 50], p).
    [TestCase(0, 15)]
    [TestCase(5, 16)]
    [TestCase(30, 23)]
    [TestCase(40, 29)]
    [TestCase(50, 35)]
    [TestCase(95, 48)]
    [TestCase(100, 50)]
    public void Between_two_ranks_it_is_interpolated(double percent, double expected) =>
        Assert.That(Percentile.OfSorted([15, 20, 35, 40, 50], percent), Is.EqualTo(expected).Within(1e-12));

    [Test]
    public void It_has_the_stated_share_of_the_samples_on_either_side() =>
        Prop.ForAll<NonEmptyArray<int>, byte>((samples, choice) =>
        {
            double percent = choice % 101;
            double[] sorted = [.. samples.Get.Select(sample => (double)sample).Order()];
            double value = Percentile.OfSorted(sorted, percent);

            // Stated without ranks: with n − 1 gaps between samples, at most p % of them lie wholly below, at most 100 − p % wholly above.
            int below = sorted.Count(sample => sample < value);
            int above = sorted.Count(sample => sample > value);
            double gaps = sorted.Length - 1;
            return value >= sorted[0] && value <= sorted[^1]
                && below <= Math.Ceiling((percent / 100 * gaps) + 1e-9)
                && above <= Math.Ceiling(((100 - percent) / 100 * gaps) + 1e-9);
        }).QuickCheckThrowOnFailure();

    [Test]
    public void It_is_what_counting_through_the_samples_gives() =>
        Prop.ForAll<NonEmptyArray<int>, byte>((samples, choice) =>
        {
            double percent = choice % 101;
            double[] sorted = [.. samples.Get.Select(sample => (double)sample).Order()];
            return Math.Abs(Percentile.OfSorted(sorted, percent) - Naive(samples.Get, percent)) < 1e-6;
        }).QuickCheckThrowOnFailure();

    [Test]
    public void It_never_falls_as_the_percentage_rises() =>
        Prop.ForAll<NonEmptyArray<int>>(samples =>
        {
            double[] sorted = [.. samples.Get.Select(sample => (double)sample).Order()];
            double[] percentiles = [.. Enumerable.Range(0, 101).Select(percent => Percentile.OfSorted(sorted, percent))];
            return percentiles.Zip(percentiles.Skip(1)).All(pair => pair.First <= pair.Second);
        }).QuickCheckThrowOnFailure();

    /// <summary>Every sample owns the rank that it has; the percentile is the weighted sum of all, of which two weigh more than nothing.</summary>
    private static double Naive(int[] samples, double percent)
    {
        double rank = percent / 100 * (samples.Length - 1);
        return samples.Order().Select((sample, index) => sample * Math.Max(0, 1 - Math.Abs(rank - index))).Sum();
    }
}
