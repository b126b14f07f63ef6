namespace MLFramework.Cpu.Tests;

public sealed class DequantizerTests
{
    [TestCaseSource(typeof(GgmlBlocks), nameof(GgmlBlocks.Dequantized))]
    public void Floats_are_those_of_ggml_bit_for_bit(object blocks)
    {
        var expected = (GgmlBlocks)blocks;
        var floats = new float[expected.Floats.Length];

        Dequantizer.Dequantize(expected.Type, expected.Blocks, floats);

        Assert.That(floats.Select(BitConverter.SingleToUInt32Bits), Is.EqualTo(expected.Floats.Select(BitConverter.SingleToUInt32Bits)));
    }

    [Test]
    public void Halves_and_brain_floats_keep_all_their_values()
    {
        byte[] bytes = [.. Enumerable.Range(0, 1 << 16).SelectMany(value => BitConverter.GetBytes((ushort)value))];
        float[] halves = new float[1 << 16], brains = new float[1 << 16];

        Dequantizer.Dequantize(TensorType.F16, bytes, halves);
        Dequantizer.Dequantize(TensorType.BF16, bytes, brains);

        for (int value = 0; value < 1 << 16; value++)
        {
            int sign = value >> 15 == 0 ? 1 : -1, exponent = value >> 10 & 31, mantissa = value & 1023;
            double half = exponent == 31 ? (mantissa == 0 ? sign * double.PositiveInfinity : double.NaN)
                : exponent == 0 ? sign * mantissa * Math.Pow(2, -24) : sign * (1024 + mantissa) * Math.Pow(2, exponent - 25);
            Assert.That(halves[value], Is.EqualTo((float)half), $"half 0x{value:x4}");
            Assert.That(BitConverter.SingleToUInt32Bits(brains[value]), Is.EqualTo((uint)value << 16), $"brain float 0x{value:x4}");
        }
    }

    [Test]
    public void Lengths_that_do_not_go_together_are_refused()
    {
        Assert.That(() => Dequantizer.Dequantize(TensorType.Q8_0, new byte[33], new float[32]), Throws.ArgumentException);
        Assert.That(() => Dequantizer.Dequantize(TensorType.Q8_0, new byte[34], new float[31]), Throws.ArgumentException);
        Assert.That(() => Dequantizer.Dequantize(TensorType.Q6_K, new byte[210], new float[128]), Throws.ArgumentException);
        Assert.That(() => Dequantizer.Dequantize((TensorType)5, new byte[34], new float[32]), Throws.TypeOf<ArgumentOutOfRangeException>());
    }
}
