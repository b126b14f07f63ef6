namespace MLFramework.Cpu.Tests;

/// <summary>The vectorized loops against plain ones.</summary>
public sealed class WeightsTests
{
    [Test]
    public void Weights_are_exponentials_of_the_distance_from_the_largest([Values(1, 7, 8, 50, 1003)] int count, [Values(0.3f, 1f, 2f)] float temperature)
    {
        float[] logits = MatrixTests.Normal(count, seed: 5), weights = new float[count];
        Weights.Exponentiate(logits, logits.Max(), temperature, weights);
        for (int i = 0; i < count; i++) Assert.That(weights[i], Is.EqualTo(Math.Exp((logits[i] - logits.Max()) / (double)temperature)).Within(1e-3).Percent);
        Weights.Exponentiate(logits, logits.Max(), temperature, logits);
        Assert.That(logits, Is.EqualTo(weights), "In place.");
    }

    [Test]
    public void A_weight_too_small_for_a_float_is_zero()
    {
        var weights = new float[3];
        Weights.Exponentiate([0, -200, float.MinValue], 0, 1, weights);
        Assert.That(weights, Is.EqualTo(new float[] { 1, 0, 0 }));
    }

    [Test]
    public void Sums_leave_out_what_is_below_the_threshold([Values(1, 7, 300)] int count)
    {
        float[] weights = [.. Enumerable.Range(0, count).Select(i => i % 5 / 4f)];
        Assert.That(Weights.Sum(weights, 0.5f), Is.EqualTo(weights.Where(weight => weight >= 0.5f).Sum(weight => (double)weight)).Within(1e-12));
        Assert.That(Weights.Sum(weights), Is.EqualTo(weights.Sum(weight => (double)weight)).Within(1e-12));
    }

    /// <summary>Each token owns an interval of draws as long as its share, in order, across blocks.</summary>
    [Test]
    public void A_draw_falls_into_the_interval_of_its_token([Values(5, 256, 700)] int count)
    {
        float[] weights = [.. MatrixTests.Normal(count, seed: 6).Select((x, i) => i % 3 == 0 ? 0 : Math.Abs(x))];
        double total = weights.Sum(weight => (double)weight), before = 0;
        for (int i = 0; i < count; i++)
        {
            if (weights[i] > 0) Assert.That(Weights.Draw(weights, (before + weights[i] / 2.0) / total), Is.EqualTo(i));
            before += weights[i];
        }
        Assert.That(weights[Weights.Draw(weights, Math.BitDecrement(1.0))], Is.Positive);
        Assert.That(weights[Weights.Draw(weights, 0)], Is.Positive);
    }
}
