using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class RandomStreamTests
{
    private const int Draws = 200_000;
    private readonly RandomStream _random = new(seed: 1);

    [Test]
    public void Uniform_numbers_fill_the_open_unit_interval_evenly()
    {
        (double mean, double variance) = Moments(_random.NextDouble);
        Assert.That(mean, Is.EqualTo(0.5).Within(0.005));
        Assert.That(variance, Is.EqualTo(1.0 / 12).Within(2).Percent);
    }

    [Test]
    public void Exponential_numbers_have_mean_and_variance_1()
    {
        (double mean, double variance) = Moments(_random.NextExponential);
        Assert.That(mean, Is.EqualTo(1).Within(1).Percent);
        Assert.That(variance, Is.EqualTo(1).Within(3).Percent);
    }

    [Test]
    public void Normal_numbers_have_mean_0_and_variance_1()
    {
        (double mean, double variance) = Moments(_random.NextNormal);
        Assert.That(mean, Is.EqualTo(0).Within(0.01));
        Assert.That(variance, Is.EqualTo(1).Within(2).Percent);
    }

    [TestCase(0.25)]
    [TestCase(1)]
    [TestCase(4)]
    public void Gamma_numbers_have_their_shape_as_mean_and_variance(double shape)
    {
        (double mean, double variance) = Moments(() => _random.NextGamma(shape));
        Assert.That(mean, Is.EqualTo(shape).Within(2).Percent);
        Assert.That(variance, Is.EqualTo(shape).Within(4).Percent);
    }

    [Test]
    public void Bounded_numbers_reach_every_value_equally_often()
    {
        int[] counts = new int[7];
        for (int i = 0; i < Draws; i++)
        {
            counts[_random.Next(7)]++;
        }

        Assert.That(counts, Has.All.EqualTo(Draws / 7).Within(3).Percent);
    }

    [Test]
    public void A_seed_gives_the_same_numbers_for_ever()
    {
        // SplitMix64 from state 1234567 + golden ratio, as published with the reference code: the stream must never change.
        var random = new RandomStream(seed: 1234567UL + 0x9E3779B97F4A7C15UL);
        Assert.That(new[] { random.NextUInt64(), random.NextUInt64() }, Is.EqualTo(new[] { 6457827717110365317UL, 3203168211198807973UL }));
    }

    private static (double Mean, double Variance) Moments(Func<double> draw)
    {
        double sum = 0;
        double squares = 0;
        for (int i = 0; i < Draws; i++)
        {
            double x = draw();
            sum += x;
            squares += x * x;
        }

        double mean = sum / Draws;
        return (mean, (squares / Draws) - (mean * mean));
    }
}
