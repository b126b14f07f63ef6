namespace MLFramework.Cpu.Tests;

/// <summary>Greedy continuations are those of llama.cpp, id for id.</summary>
public sealed class GreedyReferenceTests
{
    [Test]
    public void The_demo_model_in_halves_continues_as_llama_cpp_does() => AssertAll(TestModels.Demo("f16"), TestModels.GreedyReferences());

    [Test]
    public void The_demo_model_in_bytes_answers_as_the_one_in_halves([Values] KVElementType type)
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        using var runner = new ModelRunner(model, type: type);
        GreedyReference reference = TestModels.GreedyReferences().Single(r => r.Prompt == "The capital of France is");

        int[] ids = runner.Generate(reference.PromptIds, 12);

        Assert.That(ids, Is.EqualTo(reference.GreedyIds[..12]));
        Assert.That(model.Tokenizer.Decode(ids), Does.StartWith(" Paris."));
    }

    /// <summary>
    /// With quantized weights llama.cpp rounds activations to 8 bits. That moves its log-probabilities, and where two tokens are nearly as likely, its
    /// choice: its own AVX2 and AVX-512 backends part ways once in these texts. So every position is compared, each after llama.cpp's own tokens: either
    /// the choice is the same, or llama.cpp was undecided between the two, and so is double precision, which always chooses ours where our activations
    /// have 16 bits.
    /// </summary>
    [TestCase("q8_0", 0.02)]
    [TestCase("q4_0", 0.65)]
    public void The_quantized_demo_models_continue_as_llama_cpp_does_and_nearer_to_the_truth(string type, double errorOverTheirs)
    {
        const double NearTie = 0.05;
        using CpuModel model = CpuModel.Load(TestModels.Demo(type));
        using GgufFile file = GgufFile.Open(TestModels.Demo(type));
        using ModelRunner runner = new(model), halves = new(model, type: KVElementType.F16);
        var exactModel = new ReferenceModel(file);
        double ours = 0, oursInHalves = 0, theirs = 0;
        int positions = 0, differences = 0;
        foreach (ScoredReference reference in TestModels.ScoredReferences(type))
        {
            float[][] logits = runner.Score(reference.PromptIds, reference.GreedyIds), logitsInHalves = halves.Score(reference.PromptIds, reference.GreedyIds);
            double[][] exact = exactModel.LogitsFrom(reference.PromptIds.Length - 1, [.. reference.PromptIds, .. reference.GreedyIds[..^1]]);
            for (int i = 0; i < logits.Length; i++, positions++)
            {
                int chosen = reference.GreedyIds[i], likeliest = Sampler.IndexOfMax(logits[i]);
                double truth = LogProb(exact[i], chosen);
                ours += Math.Pow(LogProb(Widened(logits[i]), chosen) - truth, 2);
                oursInHalves += Math.Pow(LogProb(Widened(logitsInHalves[i]), chosen) - truth, 2);
                theirs += Math.Pow(reference.LogProbs[i] - truth, 2);
                if (likeliest == chosen) continue;

                differences++;
                string where = $"'{reference.Prompt}', token {i}";
                Assert.That(likeliest, Is.EqualTo(reference.RunnerUpIds[i]), where);
                Assert.That(reference.LogProbs[i] - reference.RunnerUpLogProbs[i], Is.LessThan(NearTie), where);
                Assert.That(exact[i].Max() - exact[i][likeliest], type == "q8_0" ? Is.Zero : Is.LessThan(NearTie), where);
            }
        }
        TestContext.Out.WriteLine($"{type}: log-probabilities of {positions} tokens are off by {Rms(ours):E2} (F16 cache {Rms(oursInHalves):E2}), llama.cpp's by {Rms(theirs):E2}; {differences} other choices");
        Assert.That(positions, Is.EqualTo(8 * 64));
        Assert.That(Rms(ours), Is.LessThan(Rms(theirs) * errorOverTheirs));
        Assert.That(Rms(oursInHalves), Is.LessThan(Rms(theirs) * errorOverTheirs));

        double Rms(double squares) => Math.Sqrt(squares / positions);
    }

    [TestCase("stories260K", "stories260K-f32.gguf")]
    [TestCase("babyllama", "babyllama105-f32.gguf")]
    public void Shared_models_continue_as_llama_cpp_does(string folder, string file)
    {
        (string path, GreedyReference[] references) = SharedModels.Find(folder, file);
        AssertAll(path, references);
    }

    private static double[] Widened(float[] logits) => [.. logits.Select(logit => (double)logit)];

    private static double LogProb(double[] logits, int token)
    {
        double largest = logits.Max();
        return logits[token] - largest - Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
    }

    private static void AssertAll(string path, GreedyReference[] references)
    {
        Assert.That(references, Is.Not.Empty);
        using CpuModel model = CpuModel.Load(path);
        using var runner = new ModelRunner(model);
        foreach (GreedyReference reference in references)
            Assert.That(runner.Generate(reference.PromptIds, reference.GreedyIds.Length), Is.EqualTo(reference.GreedyIds), reference.Prompt);
    }
}
