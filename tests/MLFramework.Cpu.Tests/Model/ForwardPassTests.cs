namespace MLFramework.Cpu.Tests;

public sealed class ForwardPassTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 40).Select(i => (i * 37 + 5) % TinyModels.VocabularySize)];

    /// <summary>Logits within the relative root mean square that the activations allow: floats, of 16 bits with Q8_0, or of 8 bits with what is narrower.</summary>
    [TestCase("llama", TensorType.F32, 2e-6)]
    [TestCase("llama", TensorType.F16, 2e-6)]
    [TestCase("llama", TensorType.BF16, 2e-6)]
    [TestCase("llama", TensorType.Q8_0, 2e-4)]
    [TestCase("llama", TensorType.Q4_0, 2e-2)]
    [TestCase("llama", TensorType.Q4_1, 2e-2)]
    [TestCase("llama", TensorType.Q5_0, 2e-2)]
    [TestCase("llama", TensorType.Q5_1, 2e-2)]
    [TestCase("qwen2", TensorType.F32, 2e-6)]
    [TestCase("qwen2", TensorType.Q8_0, 2e-4)]
    public void Logits_are_those_of_a_reference_in_double_precision(string architecture, TensorType type, double tolerance)
    {
        AssertNear(TinyModels.Write(architecture, type), tolerance);
        AssertNear(TinyModels.Write(architecture, type, isTied: true), tolerance);
    }

    [Test]
    public void Rotations_follow_base_scale_and_factors()
    {
        AssertNear(TinyModels.Write(change: m => m["llama.rope.freq_base"] = 500f), 2e-6);
        AssertNear(TinyModels.Write(change: m => (m["llama.rope.scaling.type"], m["llama.rope.scaling.factor"]) = ("linear", 4f)), 2e-6);
        AssertNear(TinyModels.Write(extra: "rope_freqs.weight"), 2e-6);
    }

    [Test]
    public void Logits_of_the_demo_model_are_those_of_the_reference()
    {
        GreedyReference reference = TestModels.GreedyReferences()[0];
        foreach ((string type, double tolerance) in ((string, double)[])[("f16", 1e-3), ("q8_0", 1e-3), ("q4_0", 2e-2)])
        {
            using CpuModel model = CpuModel.Load(TestModels.Demo(type));
            using GgufFile file = GgufFile.Open(TestModels.Demo(type));
            using var runner = new ModelRunner(model, type: KVElementType.F16);
            Assert.That(RelativeError(runner.Run((reference.PromptIds, 0, [3]))[0], new ReferenceModel(file).Logits(reference.PromptIds)), Is.LessThan(tolerance), type);
        }
    }

    [Test]
    public void Logits_are_the_same_bits_in_any_chunking_batch_and_place_for_any_threads_and_instruction_set(
        [Values(TensorType.F32, TensorType.Q8_0, TensorType.Q4_0)] TensorType type, [Values] KVElementType kvType)
    {
        byte[] file = TinyModels.Write(type: type);
        float[]? expected = null;
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using CpuModel model = TinyModels.Load(file, kernels);
            foreach (int threads in (int[])[1, 2, 3])
            {
                using var runner = new ModelRunner(model, threads, kvType, blocks: 32);
                foreach (int chunk in (int[])[40, 17, 16, 5, 1])
                {
                    int[] blocks = [31 - chunk % 7, chunk % 5, 20];
                    float[]? logits = null;
                    for (int start = 0; start < Prompt.Length; start += chunk)
                    {
                        int[] tokens = Prompt[start..Math.Min(start + chunk, Prompt.Length)];
                        // Another sequence rides along, before or after.
                        (int[], int, int[]) own = (tokens, start, blocks), other = ([start, chunk, 7], 0, [15]);
                        logits = chunk % 2 == 0 ? runner.Run(other, own)[1] : runner.Run(own, other)[0];
                    }
                    expected ??= logits;
                    Assert.That(MatrixTests.Bits(logits!), Is.EqualTo(MatrixTests.Bits(expected!)), $"{kernels}, {threads} threads, chunks of {chunk}");
                }
            }
        }
    }

    [Test]
    public void A_pass_that_is_cancelled_ends_and_the_next_is_right()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        using var team = new ComputeTeam(2);
        using PagedAttention attention = model.Kernels.CreateAttention(model.AttentionShape, KVElementType.F32, 8);
        using var pass = new ForwardPass(model, attention, team, leastSharedWork: 0);
        using var plan = new PassPlan();
        plan.Add(Prompt, 0, [0, 1, 2], wantsLogits: true);
        var recorder = new LogitsRecorder();

        Assert.That(() => pass.Run(plan, recorder, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        pass.Run(plan, recorder, CancellationToken.None);

        using var runner = new ModelRunner(model);
        Assert.That(MatrixTests.Bits(recorder[0]), Is.EqualTo(MatrixTests.Bits(runner.Run((Prompt, 0, [0, 1, 2]))[0])));
    }

    private static void AssertNear(byte[] file, double tolerance)
    {
        using CpuModel model = TinyModels.Load(file);
        using GgufFile gguf = GgufFile.FromMemory(file);
        using var runner = new ModelRunner(model);
        Assert.That(RelativeError(runner.Run((Prompt, 0, [2, 0, 1]))[0], new ReferenceModel(gguf).Logits(Prompt)), Is.LessThan(tolerance));
    }

    private static double RelativeError(float[] actual, double[] expected) =>
        Math.Sqrt(actual.Zip(expected, (a, e) => (a - e) * (a - e)).Sum() / expected.Sum(e => e * e));
}
