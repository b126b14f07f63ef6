namespace MLFramework.Cpu.Tests;

public sealed class RandomWeightsTests
{
    [Test]
    public void Weights_have_the_mean_deviation_and_shape_of_a_bell_without_tails()
    {
        float[] values = Fill(seed: 3, "a", 0, 1 << 18, center: 0.5f, deviation: 0.25f);
        double mean = values.Average(v => (double)v), variance = values.Average(v => Math.Pow(v - mean, 2));

        Assert.That(mean, Is.EqualTo(0.5).Within(0.002));
        Assert.That(Math.Sqrt(variance), Is.EqualTo(0.25).Within(0.001));
        // The fourth moment of n uniform numbers is 3 − 6 / (5 n) variances squared.
        Assert.That(values.Average(v => Math.Pow(v - mean, 4)) / (variance * variance), Is.EqualTo(2.7).Within(0.03));
        Assert.That(values.Max(v => Math.Abs(v - 0.5)), Is.InRange(0.75, 0.25 * Math.Sqrt(12)));
    }

    [Test]
    public void A_weight_depends_on_seed_tensor_and_position_and_on_nothing_else()
    {
        float[] all = Fill(1, "blk.0.attn_q.weight", 0, 1000);
        Assert.That(Fill(1, "blk.0.attn_q.weight", 400, 100), Is.EqualTo(all[400..500]));
        Assert.That(Fill(2, "blk.0.attn_q.weight", 0, 1000).Zip(all, (a, b) => a == b).Count(same => same), Is.LessThan(5));
        Assert.That(Fill(1, "blk.1.attn_q.weight", 0, 1000).Zip(all, (a, b) => a == b).Count(same => same), Is.LessThan(5));
    }

    /// <summary>Seeds that follow each other, and counters that overlap, must not repeat each other's weights a few places on.</summary>
    [Test]
    public void Tensors_are_no_shifted_copies_of_each_other()
    {
        float[] first = Fill(1, "a", 0, 2000);
        foreach (float[] other in (float[][])[Fill(2, "a", 0, 2000), Fill(1, "b", 0, 2000)])
            Assert.That(first.Intersect(other).Count(), Is.LessThan(100));
    }

    private static float[] Fill(ulong seed, string tensor, long first, int count, float center = 0, float deviation = 1)
    {
        var values = new float[count];
        RandomWeights.Fill(seed, tensor, first, center, deviation, values);
        return values;
    }
}
