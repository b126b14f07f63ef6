namespace MLFramework.Cpu.Tests;

public sealed class CpuModelTests
{
    [Test]
    public void A_model_says_what_it_is()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));

        Assert.That((model.Name, model.Architecture), Is.EqualTo(("MLFramework Demo", "llama")));
        Assert.That(model.HyperParameters, Is.EqualTo(new HyperParameters(4, 256, 512, 8, 4, 32, 32, 10_000, 1, 1e-5f, 512, 2048)));
        Assert.That(model.PackedBytes, Is.InRange(new FileInfo(TestModels.Demo("q8_0")).Length * 0.9, new FileInfo(TestModels.Demo("q8_0")).Length * 1.15));
    }

    [Test]
    public void An_unknown_architecture_is_refused_with_the_list_of_the_known_ones() =>
        AssertRefused(TinyModels.Write("mamba"), "general.architecture", "'mamba'.*llama, qwen2");

    [TestCase("llama.block_count", 0, "outside 1")]
    [TestCase("llama.block_count", int.MaxValue, "outside 1")]
    [TestCase("llama.embedding_length", 0, "outside 1")]
    [TestCase("llama.attention.head_count_kv", 3, "does not divide the 4 heads")]
    [TestCase("llama.attention.key_length", 12, "multiple of 8")]
    [TestCase("llama.attention.value_length", 16, "both must be the same")]
    [TestCase("llama.rope.dimension_count", 7, "in pairs")]
    [TestCase("llama.rope.dimension_count", 16, "outside 2 to 8")]
    [TestCase("llama.rope.scaling.type", "yarn", "'yarn'.*none and linear")]
    [TestCase("llama.rope.freq_base", -1f, "must be positive")]
    [TestCase("llama.attention.layer_norm_rms_epsilon", 0f, "must be positive")]
    [TestCase("llama.expert_count", 8, "mixtures of experts")]
    [TestCase("llama.attention.sliding_window", 32, "sliding windows")]
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
