namespace MLFramework.Cpu.Tests;

public sealed class CpuModelTests
{
    [Test]
    public void A_model_says_what_it_is()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));

        Assert.That((model.Name, model.Architecture), Is.EqualTo(("MLFramework Demo", "llama")));
        Assert.That(model.HyperParameters, Is.EqualTo(new HyperParameters(4, 256, 512, 8, 4, 32, 32, 10_000, new RotaryScaling(RotaryScalingKind.None, 1, 512, 1, 32, 1), 1e-5f, 512, 2048) { AttentionScale = (float)(1 / Math.Sqrt(32)) }));
        Assert.That(model.PackedBytes, Is.InRange(new FileInfo(TestModels.Demo("q8_0")).Length * 0.9, new FileInfo(TestModels.Demo("q8_0")).Length * 1.15));
    }

    [Test]
    public void An_unknown_architecture_is_refused_with_the_list_of_the_known_ones() =>
        AssertRefused(TinyModels.Write("mamba"), "general.architecture", "'mamba'.*llama, qwen2, qwen3, gemma3, phi3");

    [TestCase("llama.block_count", 0, "outside 1")]
    [TestCase("llama.block_count", int.MaxValue, "outside 1")]
    [TestCase("llama.embedding_length", 0, "outside 1")]
    [TestCase("llama.attention.head_count_kv", 3, "does not divide the 4 heads")]
    [TestCase("llama.attention.key_length", 12, "multiple of 8")]
    [TestCase("llama.attention.value_length", 16, "both must be the same")]
    [TestCase("llama.rope.dimension_count", 7, "in pairs")]
    [TestCase("llama.rope.dimension_count", 16, "outside 2 to 8")]
    [TestCase("llama.rope.scaling.type", "dynamic", "'dynamic'.*none, linear, yarn and longrope")]
    [TestCase("llama.rope.scaling.type", 7, "not a string")]
    [TestCase("llama.rope.scaling.factor", 0f, "must be positive")]
    [TestCase("llama.rope.scaling.original_context_length", 0, "outside 1")]
    [TestCase("llama.rope.scaling.attn_factor", float.NaN, "not a finite number")]
    [TestCase("llama.rope.freq_base", -1f, "must be more than 1")]
    [TestCase("llama.attention.layer_norm_rms_epsilon", 0f, "must be positive")]
    [TestCase("llama.expert_count", 8, "mixtures of experts")]
    [TestCase("llama.expert_used_count", 2, "mixtures of experts")]
    [TestCase("llama.attention.sliding_window", -1, "outside 0")]
    [TestCase("llama.attention.sliding_window_pattern", -1, "outside 0")]
    [TestCase("llama.attention.causal", false, "only causal")]
    [TestCase("llama.use_parallel_residual", true, "parallel residuals")]
    [TestCase("llama.attn_logit_softcapping", 0f, "must be positive")]
    [TestCase("llama.logit_scale", 0.5f, "not known")]
    [TestCase("llama.rope.freq_base_swa", 10_000f, "not known")]
    [TestCase("llama.rope.scaling.yarn_beta_fast", 8f, "not known")]
    [TestCase("llama.context_length", 1, "outside 2")]
    public void Parameters_that_are_absurd_or_not_supported_are_refused_by_name(string key, object value, string says) =>
        AssertRefused(TinyModels.Write(change: metadata => metadata[key] = value), key, says);

    [TestCase("llama.block_count")]
    [TestCase("llama.feed_forward_length")]
    [TestCase("llama.attention.layer_norm_rms_epsilon")]
    public void A_missing_parameter_is_named(string key) =>
        AssertRefused(TinyModels.Write(change: metadata => metadata.Remove(key)), key, "is missing");

    [TestCase("blk.1.attn_k.weight")]
    [TestCase("blk.0.ffn_norm.weight")]
    [TestCase("output_norm.weight")]
    [TestCase("token_embd.weight")]
    public void A_missing_tensor_is_named(string name) =>
        AssertRefused(TinyModels.Write(skip: name), $"tensor '{name}'", "is missing");

    [TestCase("qwen2", "blk.0.attn_v.bias")]
    [TestCase("qwen3", "blk.1.attn_q_norm.weight")]
    [TestCase("gemma3", "blk.1.post_attention_norm.weight")]
    [TestCase("gemma3", "blk.0.post_ffw_norm.weight")]
    [TestCase("gemma3", "blk.0.attn_k_norm.weight")]
    [TestCase("phi3", "blk.1.ffn_up.weight")]
    [TestCase("phi3", "rope_factors_short.weight")]
    public void A_missing_tensor_of_a_family_is_named(string architecture, string name) =>
        AssertRefused(TinyModels.Write(architecture, skip: name), $"tensor '{name}'", "is missing");

    [TestCase("qwen2")]
    [TestCase("qwen3")]
    public void A_window_is_refused_where_the_family_knows_none(string architecture) =>
        AssertRefused(new SyntheticModel(architecture) { Window = 16 }.Write(), $"{architecture}.attention.sliding_window", "16.*not supported for " + architecture);

    [Test]
    public void A_window_as_long_as_the_context_is_none()
    {
        using CpuModel model = TinyModels.Load(new SyntheticModel("qwen2") { Window = 64 }.Write());
        Assert.That(model.HyperParameters.SlidingWindow, Is.Null);
    }

    [Test]
    public void Every_sixth_layer_of_gemma3_sees_everything_unless_the_file_says_otherwise()
    {
        Assert.That(Windows(null), Is.EqualTo((int?[])[16, 16, 16, 16, 16, null, 16]));
        Assert.That(Windows(m => m["gemma3.attention.sliding_window_pattern"] = 2), Is.EqualTo((int?[])[16, null, 16, null, 16, null, 16]));
        Assert.That(Windows(m => m["gemma3.attention.sliding_window_pattern"] = 1), Is.All.Null);
        Assert.That(Windows(m => m["gemma3.attention.sliding_window_pattern"] = (bool[])[false, false, true, false, false, true, true]), Is.EqualTo((int?[])[null, null, 16, null, null, 16, 16]));

        static int?[] Windows(Action<Dictionary<string, object>>? change)
        {
            using CpuModel model = TinyModels.Load(new SyntheticModel("gemma3") { Window = 16, Layers = 7, Change = change }.Write());
            return [.. Enumerable.Range(0, 7).Select(model.HyperParameters.Window)];
        }
    }

    [Test]
    public void A_window_pattern_for_too_few_layers_is_refused() => AssertRefused(
        new SyntheticModel("gemma3") { Window = 16, Layers = 3, Change = m => m["gemma3.attention.sliding_window_pattern"] = (bool[])[true, true] }.Write(),
        "gemma3.attention.sliding_window_pattern", "2 elements for 3 layers");

    [Test]
    public void Attention_of_gemma3_is_scaled_by_the_length_of_heads_and_in_the_largest_by_that_of_the_embedding()
    {
        using CpuModel usual = TinyModels.Load(new SyntheticModel("gemma3") { HeadLength = 16 }.Write());
        using CpuModel largest = TinyModels.Load(new SyntheticModel("gemma3") { HeadLength = 16, Layers = 62, Inner = 32 }.Write());
        Assert.That(usual.HyperParameters.AttentionScale, Is.EqualTo(0.25f));
        Assert.That(largest.HyperParameters.AttentionScale, Is.EqualTo((float)(1 / Math.Sqrt(8))));
    }

    [TestCase(0f)]
    [TestCase(float.PositiveInfinity)]
    public void A_rotary_factor_that_nothing_can_be_divided_by_is_refused(float factor)
    {
        var writer = new GgufWriter();
        using GgufFile source = GgufFile.FromMemory(TinyModels.Write());
        foreach ((string key, GgufValue value) in source.Metadata) writer.Add(key, value);
        foreach (GgufTensor tensor in source.Tensors)
        {
            var data = new byte[tensor.ByteLength];
            source.Read(tensor, 0, data);
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Dimensions.AsSpan(), data);
        }
        writer.AddTensor("rope_freqs.weight", TensorType.F32, [4], (float[])[1, 1, factor, 1]);
        AssertRefused(TestModels.Write(writer), "tensor 'rope_freqs.weight'", "must be positive finite");
    }

    [Test]
    public void Factors_for_short_and_long_contexts_are_chosen_by_the_context_that_is_asked_for()
    {
        byte[] file = TinyModels.Write("phi3");
        using GgufFile gguf = GgufFile.FromMemory(file);
        Assert.That(FirstAngle(null), Is.EqualTo(1 / Factor("long")).Within(1e-6));
        Assert.That(FirstAngle(17), Is.EqualTo(1 / Factor("long")).Within(1e-6));
        Assert.That(FirstAngle(16), Is.EqualTo(1 / Factor("short")).Within(1e-6));
        Assert.That(() => FirstAngle(1), Throws.TypeOf<ArgumentOutOfRangeException>());

        double FirstAngle(int? context)
        {
            using CpuModel model = TinyModels.Load(file, contextLength: context);
            Assert.That(model.HyperParameters.ContextLength, Is.EqualTo(context ?? 64));
            var angles = new float[6];
            model.Rotary.Write(1, angles);
            return Math.Atan2(angles[3], angles[0]);
        }

        double Factor(string kind)
        {
            var factors = new float[3];
            gguf.Dequantize(gguf.GetTensor($"rope_factors_{kind}.weight"), 0, factors);
            return factors[0];
        }
    }

    [Test]
    public void Longrope_needs_its_factors_and_no_other()
    {
        AssertRefused(TinyModels.Write(change: m => m["llama.rope.scaling.type"] = "longrope"), "tensor 'rope_factors_short.weight'", "is missing");
        AssertRefused(TinyModels.Write("phi3", change: m => (m["phi3.rope.scaling.type"], m["phi3.rope.scaling.factor"]) = ("longrope", 4f)), "phi3.rope.scaling.factor", "rope_factors_long");
        AssertRefused(TinyModels.Write("qwen2", extra: "rope_freqs.weight"), "tensor 'rope_freqs.weight'", "not part of the architecture");
    }

    [Test]
    public void The_ramp_of_yarn_goes_from_fast_to_slow() => AssertRefused(
        TinyModels.Write(change: m => (m["llama.rope.scaling.type"], m["llama.rope.scaling.yarn_beta_fast"], m["llama.rope.scaling.yarn_beta_slow"]) = ("yarn", 1f, 2f)),
        "llama.rope.scaling.yarn_beta_fast", "less than");

    [Test]
    public void A_tensor_of_another_shape_is_refused_with_both_shapes() =>
        AssertRefused(TinyModels.Write(change: metadata => metadata["llama.feed_forward_length"] = 64), "tensor 'blk.0.ffn_gate.weight'", @"\[32, 96\].*\[32, 64\]");

    [Test]
    public void A_tensor_that_the_architecture_does_not_have_is_refused() =>
        AssertRefused(TinyModels.Write(extra: "blk.0.attn_sinks.weight"), "tensor 'blk.0.attn_sinks.weight'", "not part of the architecture");

    private static void AssertRefused(byte[] file, string field, string says)
    {
        GgufException refusal = Assert.Throws<GgufException>(() => TinyModels.Load(file));
        Assert.That(refusal.Field, Is.EqualTo(field));
        Assert.That(refusal.Message, Does.Match(says));
    }
}
