using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

/// <summary>What is drawn through scheduler and engine, against the distribution that the model's logits say.</summary>
public sealed class EngineSamplingTests
{
    private const int Draws = 1500, LeastExpected = 8;

    /// <summary>Standard deviations of a normal distribution beyond which one draw in a million lies. The draws are the same in every run.</summary>
    private const double Deviations = 4.75;

    private static readonly int[] s_prompt = [900, 1400, 700, 1200];

    [TestCase(1f, null, 1f)]
    [TestCase(0.5f, null, 1f)]
    [TestCase(1f, 12, 1f)]
    [TestCase(1.5f, null, 0.8f)]
    [TestCase(1.2f, 20, 0.9f)]
    public void First_tokens_are_distributed_as_the_logits_say(float temperature, int? topK, float topP)
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        double[] expected = Distribution(model, temperature, topK ?? int.MaxValue, topP);

        int[] counts = Draw(model, GenerationOptions.Default with { Temperature = temperature, TopK = topK, TopP = topP });

        Assert.That(counts.Where((_, token) => expected[token] == 0), Is.All.Zero, "Tokens that top-k or top-p exclude.");
        (double statistic, double critical) = ChiSquare(counts, expected);
        Assert.That(statistic, Is.LessThan(critical));
    }

    [Test]
    public void Draws_at_a_slightly_other_temperature_would_be_told_apart()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        (double statistic, double critical) = ChiSquare(Draw(model, GenerationOptions.Default with { Temperature = 1.15f }), Distribution(model, 1, int.MaxValue, 1));
        Assert.That(statistic, Is.GreaterThan(critical));
    }

    [Test]
    public void The_same_tokens_are_drawn_in_batches_of_any_size_and_order()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q4_0"));
        int[][] Answers(int maxBatchSize, bool isReversed)
        {
            using var rig = new CpuRig(model, maxBatchSize: maxBatchSize);
            Request[] requests = [.. Enumerable.Range(0, 12).Select(i => CpuRig.NewRequest(
                s_prompt[..(1 + i % 4)], 20, GenerationOptions.Default with { Temperature = 1.2f, TopK = i % 2 == 0 ? 30 : null, Seed = 3 + i % 3, IgnoreEos = true }, sample: i))];
            foreach (Request request in isReversed ? requests.Reverse() : requests) rig.Enqueue(request);
            rig.RunDry(requests);
            return [.. requests.Select(request => request.GeneratedTokenIds.ToArray())];
        }

        int[][] alone = Answers(1, isReversed: false);
        Assert.That(alone.Distinct(new SequenceComparer()).Count(), Is.EqualTo(alone.Length), "Twelve seeds and samples, twelve answers.");
        foreach ((int size, bool isReversed) in ((int, bool)[])[(3, false), (12, false), (5, true), (12, true)])
            Assert.That(Answers(size, isReversed), Is.EqualTo(alone), $"batches of {size}, reversed: {isReversed}");
    }

    /// <summary>How often each token is drawn. Seeds and samples both vary, and each is one number of a request's own.</summary>
    private static int[] Draw(CpuModel model, GenerationOptions options)
    {
        using var rig = new CpuRig(model, maxBatchSize: 32);
        Request[] requests = [.. Enumerable.Range(0, Draws).Select(i => CpuRig.NewRequest(s_prompt, 1, options with { Seed = i / 3 }, sample: i % 3))];
        foreach (Request request in requests) rig.Enqueue(request);
        rig.RunDry(requests);
        var counts = new int[model.HyperParameters.VocabularySize];
        foreach (Request request in requests) counts[request.GeneratedTokenIds.Single()]++;
        return counts;
    }

    /// <summary>Probabilities of the next token: temperature, then top-k, then top-p, in plain loops over double precision.</summary>
    private static double[] Distribution(CpuModel model, float temperature, int topK, float topP)
    {
        using var runner = new ModelRunner(model, type: KVElementType.F16);
        float[] logits = runner.Run((s_prompt, 0, [0]))[0];
        double largest = logits.Max();
        var weights = logits.Select((logit, token) => (Token: token, Weight: Math.Exp((logit - largest) / temperature)))
            .OrderByDescending(entry => entry.Weight).Take(topK).ToArray();
        double total = weights.Sum(entry => entry.Weight), mass = 0;
        var kept = new List<(int Token, double Weight)>();
        foreach (var entry in weights)
        {
            if (mass >= topP * total) break;
            kept.Add(entry);
            mass += entry.Weight;
        }
        var probabilities = new double[logits.Length];
        foreach ((int token, double weight) in kept) probabilities[token] = weight / mass;
        return probabilities;
    }

    /// <summary>Pearson's test over the tokens that are expected often enough; the others are one class. Its critical value is Wilson and Hilferty's.</summary>
    private static (double Statistic, double Critical) ChiSquare(int[] counts, double[] expected)
    {
        int draws = counts.Sum();
        var classes = new List<(double Count, double Expected)>();
        (double Count, double Expected) rest = default;
        for (int token = 0; token < counts.Length; token++)
        {
            (double Count, double Expected) one = (counts[token], draws * expected[token]);
            if (one.Expected >= LeastExpected) classes.Add(one);
            else rest = (rest.Count + one.Count, rest.Expected + one.Expected);
        }
        if (rest.Expected >= LeastExpected) classes.Add(rest);
        Assert.That(classes, Has.Count.GreaterThan(2), "A distribution that says nothing.");
        double statistic = classes.Sum(one => Math.Pow(one.Count - one.Expected, 2) / one.Expected), freedom = classes.Count - 1, spread = 2 / (9 * freedom);
        double critical = freedom * Math.Pow(1 - spread + Deviations * Math.Sqrt(spread), 3);
        TestContext.Out.WriteLine($"chi-square {statistic:F1} with {freedom} degrees of freedom, critical {critical:F1}");
        return (statistic, critical);
    }

    private sealed class SequenceComparer : IEqualityComparer<int[]>
    {
        public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(int[] obj) => obj.Length == 0 ? 0 : obj[0];
    }
}
