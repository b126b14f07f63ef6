namespace MLFramework.Cpu.Tests;

public sealed class ForwardPassTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 40).Select(i => (i * 37 + 5) % TinyModels.VocabularySize)];

    /// <summary>Logits within the relative root mean square that activations allow: floats, 16-bit integers with Q8_0, 8-bit ones with narrower types.</summary>
    [Test]
    public void Logits_are_those_of_a_reference_in_double_precision(
        [ValueSource(typeof(SyntheticModel), nameof(SyntheticModel.Architectures))] string architecture, [ValueSource(typeof(TensorTypes), nameof(TensorTypes.All))] TensorType type)
    {
        var model = new SyntheticModel(architecture) { Type = type, Embedding = 256, Inner = 256, HeadLength = 64, Window = WindowOf(architecture), Layers = LayersOf(architecture) };
        double tolerance = type is TensorType.F32 or TensorType.F16 or TensorType.BF16 ? 5e-6 : type == TensorType.Q8_0 ? 2e-4 : 3e-2;
        AssertNear(model, tolerance);
        if (type == TensorType.F32) AssertNear(model with { IsTied = true }, tolerance);
    }

    /// <summary>All types in one file, as mixes have them: matrices of one group want activations as floats, of 16 and of 8 bits, and layers differ.</summary>
    [Test]
    public void Types_are_mixed_within_a_file()
    {
        TensorType[] types = [.. TensorTypes.All];
        foreach (int turn in (int[])[0, 3, 7])
        {
            int next = turn;
            var chosen = new Dictionary<string, TensorType>();
            TensorType TypeOf(string name) => chosen.TryGetValue(name, out TensorType type) ? type : chosen[name] = types[next++ % types.Length];
            var model = new SyntheticModel("llama") { TypeOf = TypeOf, Embedding = 256, Inner = 512, HeadLength = 64, IsTied = turn == 0 };
            AssertNear(model, 3e-2);
            AssertSameBits(model, KVElementType.F16);
        }
    }

    [Test]
    public void Rotations_follow_base_scale_and_factors()
    {
        AssertNear(new SyntheticModel("llama") { Change = m => m["llama.rope.freq_base"] = 500f });
        AssertNear(new SyntheticModel("llama") { Change = m => (m["llama.rope.scaling.type"], m["llama.rope.scaling.factor"]) = ("linear", 4f) });
        AssertNear(new SyntheticModel("llama") { Change = m => m["llama.rope.scaling.factor"] = 4f });
        AssertNear(new SyntheticModel("llama") { Change = m => m["llama.rope.scale_linear"] = 4f });
        AssertNear(new SyntheticModel("llama") { Change = m => (m["llama.rope.scaling.type"], m["llama.rope.scaling.factor"]) = ("none", 4f) });
        AssertNear(new SyntheticModel("llama") { Extra = "rope_freqs.weight" });
        AssertNear(new SyntheticModel("llama") { Change = m => m["llama.rope.dimension_count"] = 4 });
        AssertNear(new SyntheticModel("phi3") { Change = m => m["phi3.rope.scaling.original_context_length"] = 64 });
        AssertNear(new SyntheticModel("phi3") { Change = m => m["phi3.rope.scaling.type"] = "longrope" });
        AssertNear(new SyntheticModel("gemma3") { Window = 16, Change = m => m["gemma3.rope.freq_base_swa"] = 500f });
    }

    [Test]
    public void Yarn_scales_slow_pairs_and_leaves_fast_ones([Values("llama", "qwen2", "qwen3")] string architecture, [Values(8f, 32f)] float betaFast)
    {
        AssertNear(new SyntheticModel(architecture)
        {
            HeadLength = 32,
            Change = m =>
            {
                m[$"{architecture}.rope.scaling.type"] = "yarn";
                m[$"{architecture}.rope.scaling.factor"] = 4f;
                m[$"{architecture}.rope.scaling.original_context_length"] = 1024;
                m[$"{architecture}.rope.scaling.yarn_beta_fast"] = betaFast;
            },
        });
    }

    [Test]
    public void Scores_and_logits_are_scaled_and_bounded_where_declared([ValueSource(typeof(SyntheticModel), nameof(SyntheticModel.Architectures))] string architecture)
    {
        AssertNear(new SyntheticModel(architecture) { Change = m => m[$"{architecture}.final_logit_softcapping"] = 1.5f });
        AssertNear(new SyntheticModel(architecture) { Change = m => m[$"{architecture}.attn_logit_softcapping"] = 0.5f });
        AssertNear(new SyntheticModel(architecture) { Change = m => m[$"{architecture}.attention.scale"] = 0.7f });
    }

    [Test]
    public void Queries_keys_and_values_can_have_biases_and_stand_in_one_tensor(
        [ValueSource(typeof(SyntheticModel), nameof(SyntheticModel.Architectures))] string architecture, [Values] bool isFused)
    {
        AssertNear(new SyntheticModel(architecture) { HasFusedQkv = isFused, HasQkvBias = true });
        AssertNear(new SyntheticModel(architecture) { HasFusedQkv = isFused, HasQkvBias = architecture == "qwen2", Type = TensorType.Q8_0 }, 2e-4);
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
        [Values(TensorType.F32, TensorType.Q8_0, TensorType.Q4_0)] TensorType type, [Values] KVElementType kvType) =>
        AssertSameBits(new SyntheticModel("llama") { Type = type }, kvType);

    /// <summary>So many rows of so wide a layer that its second half goes over them in parts, panel by panel, against eight rows at a time.</summary>
    [Test]
    public void Logits_are_the_same_bits_where_the_rows_of_a_wide_layer_are_taken_in_parts([Values(TensorType.F32, TensorType.Q8_0, TensorType.Q4_0)] TensorType type)
    {
        int[] prompt = [.. Enumerable.Range(0, 230).Select(i => (i * 37 + 5) % TinyModels.VocabularySize)], blocks = [.. Enumerable.Range(0, 15)];
        using CpuModel model = TinyModels.Load(new SyntheticModel("llama") { Type = type, Inner = 4096, Context = 256 }.Write());
        using var runner = new ModelRunner(model, threads: 2);
        float[] expected = [];
        for (int start = 0; start < prompt.Length; start += PackedMatrix.LargestTile)
            expected = runner.Run((prompt[start..Math.Min(start + PackedMatrix.LargestTile, prompt.Length)], start, blocks))[0];
        Assert.That(MatrixTests.Bits(runner.Run((prompt, 0, blocks))[0]), Is.EqualTo(MatrixTests.Bits(expected)));
    }

    [TestCase("qwen2", 0)]
    [TestCase("qwen3", 0)]
    [TestCase("llama", 1)]
    [TestCase("llama", 21)]
    [TestCase("gemma3", 7)]
    [TestCase("gemma3", 16)]
    [TestCase("phi3", 16)]
    public void Logits_of_every_family_are_the_same_bits_past_its_window_too(string architecture, int window) =>
        AssertSameBits(new SyntheticModel(architecture) { Type = TensorType.Q8_0, Window = window, Layers = LayersOf(architecture) }, KVElementType.F16);

    /// <summary>A pass that is cancelled has stored keys and values of some layers only, at positions that the next pass computes again.</summary>
    [Test]
    public void What_a_pass_left_behind_that_ended_between_two_layers_changes_nothing()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        using var team = new ComputeTeam(2);
        using PagedAttention attention = model.Kernels.CreateAttention(model.AttentionShape, KVElementType.F32, 8);
        using var begun = new ForwardPass(model, attention, team, leastSharedWork: 0, layers: [0]);
        using var pass = new ForwardPass(model, attention, team, leastSharedWork: 0);
        using var plan = new PassPlan();
        var recorder = new LogitsRecorder();
        plan.Add(Prompt.AsSpan(0, 20), 0, [0, 1, 2], wantsLogits: true);
        pass.Run(plan, recorder, CancellationToken.None);
        plan.Clear();
        plan.Add([.. Prompt[20..].Reverse()], 20, [0, 1, 2], wantsLogits: true);
        begun.Run(plan, recorder, CancellationToken.None);
        plan.Clear();
        plan.Add(Prompt.AsSpan(20), 20, [0, 1, 2], wantsLogits: true);
        pass.Run(plan, recorder, CancellationToken.None);

        using var runner = new ModelRunner(model);
        Assert.That(MatrixTests.Bits(recorder[0]), Is.EqualTo(MatrixTests.Bits(runner.Run((Prompt, 0, [0, 1, 2]))[0])));
    }

    /// <summary>Contexts of several spans, which threads share or not as the batch and their number have it.</summary>
    [Test]
    public void Logits_of_long_contexts_are_the_same_bits_however_they_are_shared([Values] KVElementType kvType)
    {
        const int Length = 2100;
        byte[] file = new SyntheticModel("llama") { Context = Length + 1, Layers = 1 }.Write();
        int[] prompt = [.. Enumerable.Range(0, Length).Select(i => (i * 31 + 7) % TinyModels.VocabularySize)], blocks = [.. Enumerable.Range(0, (Length + 16) / 16).Reverse()];
        float[]? expected = null;
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using CpuModel model = TinyModels.Load(file, kernels);
            foreach (int threads in (int[])[1, 2, 3])
            {
                using var runner = new ModelRunner(model, threads, kvType, blocks: blocks.Length + 1);
                runner.Run((prompt[..1500], 0, blocks));
                runner.Run((prompt[1500..], 1500, blocks));
                // Alone it is cut into spans where there are threads; beside itself in another place it need not be.
                float[] alone = runner.Run(([5], Length, blocks))[0], last = runner.Run((prompt[^7..], Length - 7, blocks))[0];
                float[][] together = runner.Run(([5], Length, blocks), ([5, 6], 0, [blocks.Length]), (prompt[^1..], Length - 1, blocks));
                expected ??= alone;
                Assert.That(MatrixTests.Bits(alone), Is.EqualTo(MatrixTests.Bits(expected)), $"{kernels}, {threads} threads");
                Assert.That(MatrixTests.Bits(together[0]), Is.EqualTo(MatrixTests.Bits(expected)), $"{kernels}, {threads} threads, in a batch");
                Assert.That(MatrixTests.Bits(together[2]), Is.EqualTo(MatrixTests.Bits(last)), $"{kernels}, {threads} threads, one position alone or with six others");
            }
        }
    }

    /// <summary>What rounding keys and values costs, on random weights, whose scores are as flat as they come; the prompt is long enough for sums to matter.</summary>
    [TestCase(KVElementType.F32, 2e-6)]
    [TestCase(KVElementType.F16, 5e-4)]
    [TestCase(KVElementType.Q8_0, 2e-2)]
    public void Logits_are_as_near_to_the_reference_as_the_type_of_keys_and_values_allows(KVElementType type, double tolerance)
    {
        foreach (string architecture in (string[])["llama", "gemma3"])
        {
            byte[] file = new SyntheticModel(architecture) { Embedding = 128, Inner = 256, HeadLength = 64, Window = WindowOf(architecture), Layers = LayersOf(architecture) }.Write();
            using CpuModel model = TinyModels.Load(file);
            using GgufFile gguf = GgufFile.FromMemory(file);
            using var runner = new ModelRunner(model, type: type);
            double error = RelativeError(runner.Run((Prompt, 0, [2, 0, 1]))[0], new ReferenceModel(gguf).Logits(Prompt));
            TestContext.Out.WriteLine($"{architecture}, {type}: relative RMS {error:E2}");
            Assert.That(error, Is.LessThan(tolerance), architecture);
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

    private static int WindowOf(string architecture) => architecture is "llama" or "gemma3" or "phi3" ? 13 : 0;

    /// <summary>One layer of gemma3 that sees everything, and one with a window after it.</summary>
    private static int LayersOf(string architecture) => architecture == "gemma3" ? 7 : 2;

    private static void AssertNear(SyntheticModel random, double tolerance = 5e-6)
    {
        byte[] file = random.Write();
        using CpuModel model = TinyModels.Load(file);
        using GgufFile gguf = GgufFile.FromMemory(file);
        using var runner = new ModelRunner(model);
        Assert.That(RelativeError(runner.Run((Prompt, 0, [2, 0, 1]))[0], new ReferenceModel(gguf).Logits(Prompt)), Is.LessThan(tolerance));
    }

    private static void AssertSameBits(SyntheticModel random, KVElementType kvType)
    {
        byte[] file = random.Write();
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

    private static double RelativeError(float[] actual, double[] expected) =>
        Math.Sqrt(actual.Zip(expected, (a, e) => (a - e) * (a - e)).Sum() / expected.Sum(e => e * e));
}
