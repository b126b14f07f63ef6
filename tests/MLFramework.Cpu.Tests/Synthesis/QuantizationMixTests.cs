namespace MLFramework.Cpu.Tests;

public sealed class QuantizationMixTests
{
    /// <summary>The layers of Llama 3.2 1B, SmolLM2 135M and Qwen2.5 0.5B that have Q6_K in the published Q4_K_M files.</summary>
    [TestCase(16, new[] { 0, 1, 4, 7, 10, 13, 14, 15 })]
    [TestCase(30, new[] { 0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29 })]
    [TestCase(24, new[] { 0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23 })]
    public void Half_of_the_layers_of_a_medium_mix_have_more_bits_where_it_matters(int layers, int[] expected)
    {
        foreach (MatrixRole role in (MatrixRole[])[MatrixRole.AttentionValue, MatrixRole.FeedForwardDown])
            foreach (TensorType type in (TensorType[])[TensorType.Q4_K, TensorType.Q5_K])
            {
                int[] larger = [.. Enumerable.Range(0, layers).Where(layer => QuantizationMix.Choose(type, role, layer, layers, 1024) == TensorType.Q6_K)];
                Assert.That(larger, Is.EqualTo(expected));
                Assert.That(Enumerable.Range(0, layers).Except(larger).Select(layer => QuantizationMix.Choose(type, role, layer, layers, 1024)), Is.All.EqualTo(type));
            }
    }

    [TestCase(TensorType.F32, TensorType.F32)]
    [TestCase(TensorType.BF16, TensorType.BF16)]
    [TestCase(TensorType.Q8_0, TensorType.Q8_0)]
    [TestCase(TensorType.Q4_0, TensorType.Q6_K)]
    [TestCase(TensorType.Q5_1, TensorType.Q6_K)]
    [TestCase(TensorType.Q4_K, TensorType.Q6_K)]
    [TestCase(TensorType.Q6_K, TensorType.Q6_K)]
    public void The_output_of_a_quantized_model_has_at_least_six_bits(TensorType type, TensorType expected)
    {
        Assert.That(QuantizationMix.Choose(type, MatrixRole.Output, 0, 16, 2048), Is.EqualTo(expected));
        Assert.That(QuantizationMix.Choose(type, MatrixRole.Embedding, 0, 16, 2048), Is.EqualTo(type));
        Assert.That(QuantizationMix.Choose(type, MatrixRole.Other, 0, 16, 2048), Is.EqualTo(type));
    }

    [TestCase(TensorType.Q4_K, TensorType.Q5_0)]
    [TestCase(TensorType.Q5_K, TensorType.Q5_1)]
    [TestCase(TensorType.Q6_K, TensorType.Q8_0)]
    [TestCase(TensorType.Q4_0, TensorType.Q4_0)]
    public void Rows_that_are_no_whole_super_blocks_get_the_next_larger_type(TensorType type, TensorType expected) =>
        Assert.That(QuantizationMix.Choose(type, MatrixRole.Other, 0, 30, 576), Is.EqualTo(expected));

    [TestCase(TensorType.Q4_K, TensorType.Q5_K)]
    [TestCase(TensorType.Q5_K, TensorType.Q6_K)]
    [TestCase(TensorType.Q6_K, TensorType.Q6_K)]
    [TestCase(TensorType.Q4_0, TensorType.Q4_0)]
    public void Queries_keys_and_values_in_one_have_the_next_larger_type_of_a_medium_mix(TensorType type, TensorType expected) =>
        Assert.That(QuantizationMix.Choose(type, MatrixRole.AttentionFused, 5, 32, 3072), Is.EqualTo(expected));

    [Test]
    public void Rows_that_are_no_whole_blocks_either_get_halves() =>
        Assert.That(QuantizationMix.Fit(TensorType.Q4_K, 24), Is.EqualTo(TensorType.F16));
}
