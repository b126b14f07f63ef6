namespace MLFramework.Cpu.Tests;

public sealed class QuantizerTests
{
    [TestCaseSource(typeof(GgmlBlocks), nameof(GgmlBlocks.Quantized))]
    public void Blocks_are_those_of_ggml_bit_for_bit(object blocks)
    {
        var expected = (GgmlBlocks)blocks;
        var quantized = new byte[expected.Blocks.Length];

        Quantizer.Quantize(expected.Type, expected.Floats, quantized);

        Assert.That(Convert.ToHexString(quantized), Is.EqualTo(Convert.ToHexString(expected.Blocks)));
    }

    /// <summary>The bounds are what rounding to so many levels leaves of normally distributed values, with some room; half the room would fail.</summary>
    [TestCase(TensorType.F32, 0, 0)]
    [TestCase(TensorType.F16, 1e-4, 4e-4)]
    [TestCase(TensorType.BF16, 1e-3, 3e-3)]
    [TestCase(TensorType.Q8_0, 0.003, 0.007)]
    [TestCase(TensorType.Q6_K, 0.01, 0.025)]
    [TestCase(TensorType.Q5_0, 0.03, 0.05)]
    [TestCase(TensorType.Q5_1, 0.025, 0.05)]
    [TestCase(TensorType.Q5_K, 0.025, 0.05)]
    [TestCase(TensorType.Q4_0, 0.06, 0.1)]
    [TestCase(TensorType.Q4_1, 0.05, 0.1)]
    [TestCase(TensorType.Q4_K, 0.05, 0.1)]
    public void A_round_trip_loses_as_much_as_the_type_has_bits(TensorType type, double atLeast, double atMost)
    {
        var random = new Random(7);
        float[] values = [.. Enumerable.Range(0, 4096)
            .Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
        var blocks = new byte[type.RowBytes(values.Length)];
        var back = new float[values.Length];

        Quantizer.Quantize(type, values, blocks);
        Dequantizer.Dequantize(type, blocks, back);

        double error = Math.Sqrt(values.Zip(back, (a, b) => Math.Pow(a - b, 2)).Sum() / values.Sum(a => a * (double)a));
        Assert.That(error, Is.InRange(atLeast, atMost));
    }

    [Test]
    public void Zeros_stay_zeros([ValueSource(typeof(TensorTypes), nameof(TensorTypes.All))] TensorType type)
    {
        var back = new float[256];
        var blocks = new byte[type.RowBytes(256)];

        Quantizer.Quantize(type, new float[256], blocks);
        Dequantizer.Dequantize(type, blocks, back);

        Assert.That(back, Is.All.Zero);
    }

    [TestCase(TensorType.Q4_K)]
    [TestCase(TensorType.Q5_K)]
    public void Values_that_are_all_positive_need_no_minimum(TensorType type)
    {
        float[] values = [.. Enumerable.Range(0, 256).Select(i => 10f + i % 5)], back = new float[256];
        var blocks = new byte[type.RowBytes(256)];

        Quantizer.Quantize(type, values, blocks);
        Dequantizer.Dequantize(type, blocks, back);

        Assert.That(back, Is.EqualTo(values).Within(0.6f));
    }

    [Test]
    public void Lengths_that_do_not_go_together_are_refused()
    {
        Assert.That(() => Quantizer.Quantize(TensorType.Q8_0, new float[31], new byte[34]), Throws.ArgumentException);
        Assert.That(() => Quantizer.Quantize(TensorType.Q8_0, new float[32], new byte[35]), Throws.ArgumentException);
    }
}
