namespace MLFramework.Cpu.Tests;

public sealed class SamplerTests
{
    private const int Draws = 40_000;

    /// <summary>Frequencies of many draws are the probabilities that plain loops give, within five standard deviations.</summary>
    [Test]
    public void Tokens_are_drawn_as_often_as_they_are_likely(
        [Values(0.5f, 1f, 2f)] float temperature, [Values(int.MaxValue, 12, 3)] int topK, [Values(1f, 0.9f, 0.3f)] float topP)
    {
        float[] logits = MatrixTests.Normal(50, seed: 4);
        double[] expected = Probabilities(logits, temperature, topK, topP);
        var sampler = new Sampler(logits.Length);
        var counts = new int[logits.Length];
        for (int position = 0; position < Draws; position++) counts[sampler.Sample(logits, new SamplingParameters(temperature, topK, topP, Seed: 9), [], position)]++;
        for (int token = 0; token < logits.Length; token++)
            Assert.That(counts[token], Is.EqualTo(Draws * expected[token]).Within(5 * Math.Sqrt(Draws * expected[token] * (1 - expected[token]))), $"token {token}");
    }

    [Test]
    public void Temperature_zero_takes_the_likeliest_and_of_equals_the_first()
    {
        var sampler = new Sampler(20);
        var logits = new float[20];
        (logits[6], logits[13], logits[18]) = (2, 3, 3);
        Assert.That(sampler.Sample(logits, new SamplingParameters(Temperature: 0), [], 0), Is.EqualTo(13));
        Assert.That(sampler.Sample([-1f, -5f, -1f], new SamplingParameters(Temperature: 0), [], 0), Is.Zero);
    }

    [Test]
    public void A_flat_distribution_has_a_nucleus_too()
    {
        var logits = new float[1000];
        var sampler = new Sampler(1000);
        int[] drawn = [.. Enumerable.Range(0, 5000).Select(position => sampler.Sample(logits, new SamplingParameters(TopP: 0.25f), [], position))];
        Assert.That((drawn.Min(), drawn.Max()), Is.EqualTo((0, 249)));
    }

    [Test]
    public void A_token_far_less_likely_than_all_others_is_still_reached_by_a_nucleus_that_wants_it()
    {
        float[] logits = [0, -200];
        Assert.That(new Sampler(2).Sample(logits, new SamplingParameters(TopP: 0.99999994f), [], 3), Is.Zero);
        Assert.That(new Sampler(2).Sample(logits, new SamplingParameters(TopK: 1), [], 3), Is.Zero);
    }

    [Test]
    public void Penalties_are_subtracted_by_count_and_by_presence()
    {
        float[] logits = [5, 5, 5];
        new Sampler(3).Sample(logits, new SamplingParameters(Temperature: 0, FrequencyPenalty: 0.5f, PresencePenalty: 1), [2, 1, 2, 2], 0);
        Assert.That(logits, Is.EqualTo(new[] { 5f, 3.5f, 2.5f }));
    }

    [Test]
    public void Penalties_do_not_remember_the_call_before()
    {
        var sampler = new Sampler(2);
        sampler.Sample([5, 5], new SamplingParameters(Temperature: 0, PresencePenalty: 1), [0], 0);
        float[] logits = [5, 5];
        sampler.Sample(logits, new SamplingParameters(Temperature: 0, PresencePenalty: 1), [0], 0);
        Assert.That(logits, Is.EqualTo(new[] { 4f, 5f }));
    }

    [Test]
    public void Random_numbers_differ_by_seed_sample_and_position_and_look_uniform()
    {
        double[] numbers = [.. from seed in Enumerable.Range(0, 20) from sample in Enumerable.Range(0, 20) from position in Enumerable.Range(0, 100) select CounterRandom.NextDouble((ulong)seed, sample, position)];
        Assert.That(numbers.Distinct().Count(), Is.EqualTo(numbers.Length));
        Assert.That(numbers, Is.All.InRange(0, 1).And.All.LessThan(1));
        Assert.That(numbers.Average(), Is.EqualTo(0.5).Within(0.01));
        Assert.That(numbers.Average(n => n * n), Is.EqualTo(1 / 3.0).Within(0.01));
        Assert.That(numbers.Zip(numbers.Skip(1), (a, b) => (a - 0.5) * (b - 0.5)).Average(), Is.Zero.Within(0.003));
    }

    private static double[] Probabilities(float[] logits, float temperature, int topK, float topP)
    {
        (int Token, double Weight)[] best = [.. logits.Select((logit, token) => (token, Math.Exp(logit / temperature))).OrderByDescending(entry => entry.Item2).Take(topK)];
        double total = best.Sum(entry => entry.Weight), mass = 0;
        var kept = new List<(int Token, double Weight)>();
        foreach ((int Token, double Weight) entry in best)
        {
            if (mass >= topP * total) break;
            kept.Add(entry);
            mass += entry.Weight;
        }
        var probabilities = new double[logits.Length];
        foreach ((int token, double weight) in kept) probabilities[token] = weight / mass;
        return probabilities;
    }
}
