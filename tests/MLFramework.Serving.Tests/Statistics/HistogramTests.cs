using FsCheck;
using FsCheck.Fluent;

namespace MLFramework.Serving.Tests.Statistics;

public class HistogramTests
{
    private readonly LogLinearHistogram _histogram = new();

    [Test]
    public void Every_value_lies_in_a_bar_at_most_an_eighth_of_it_wide() =>
        Prop.ForAll<PositiveInt, byte>((mantissa, shift) =>
        {
            long value = (long)mantissa.Get << (shift % 32);
            var histogram = new LogLinearHistogram();
            histogram.Record(value);
            HistogramBucket bar = histogram.Snapshot(1).Buckets.Single();
            Assert.That(bar.LowerBound, Is.LessThanOrEqualTo(value));
            Assert.That(bar.UpperBound, Is.GreaterThanOrEqualTo(value));
            Assert.That(bar.UpperBound - bar.LowerBound, Is.LessThanOrEqualTo(value / 8.0));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500).WithQuietOnSuccess(true).WithReplay(5, 7));

    [Test]
    public void Extremes_have_a_place()
    {
        _histogram.Record(0);
        _histogram.Record(long.MaxValue);
        Assert.That(_histogram.Snapshot(1).Count, Is.EqualTo(2));
    }

    [Test]
    public void Small_values_are_exact_and_quantiles_interpolate()
    {
        foreach (int value in (int[])[1, 1, 2, 3, 4, 5, 6, 7, 8, 15])
        {
            _histogram.Record(value);
        }

        HistogramSnapshot snapshot = _histogram.Snapshot(1);
        Assert.Multiple(() =>
        {
            Assert.That(snapshot.Count, Is.EqualTo(10));
            Assert.That(snapshot.Mean, Is.EqualTo(5.2));
            Assert.That(snapshot.Quantile(0), Is.EqualTo(1));
            Assert.That(snapshot.Quantile(0.5), Is.EqualTo(4));
            Assert.That(snapshot.Quantile(1), Is.EqualTo(15));
            Assert.That(snapshot.Buckets[0], Is.EqualTo(new HistogramBucket(1, 1, 2)));
        });
    }

    [Test]
    public void The_unit_scales_values()
    {
        _histogram.Record(2000);
        HistogramSnapshot snapshot = _histogram.Snapshot(1e-3);
        Assert.That(snapshot.Mean, Is.EqualTo(2));
        Assert.That(snapshot.Quantile(0.5), Is.EqualTo(2).Within(0.125 * 2));
    }

    [Test]
    public void An_empty_distribution_is_zero()
    {
        Assert.That(HistogramSnapshot.Empty.Mean, Is.Zero);
        Assert.That(HistogramSnapshot.Empty.Quantile(0.99), Is.Zero);
    }

    [Test]
    public void A_quantile_outside_0_to_1_is_refused([Values(-0.1, 1.1, double.NaN)] double q) =>
        Assert.That(() => HistogramSnapshot.Empty.Quantile(q), Throws.InstanceOf<ArgumentOutOfRangeException>());
}
