namespace MLFramework.Cpu.Tests;

public sealed unsafe class ActivationQuantizerTests
{
    [TestCase(1f)]
    [TestCase(1e-25f)]
    [TestCase(3e37f)]
    public void An_element_is_off_by_at_most_half_a_step_of_the_largest_of_its_sixteen(float size)
    {
        float[] x = [.. Draw(seed: 1).Select(v => v * size)];
        ActivationBlock[] blocks = Quantize(x);
        double largest = x.Max(MathF.Abs);
        for (int block = 0; block < blocks.Length; block++)
            for (int half = 0; half < 2; half++)
            {
                int[] columns = [.. Enumerable.Range(0, 32).Where(i => i / 8 % 2 == half).Select(i => block * 32 + i)];
                // A scale is rounded up to a multiple of 1/32767 of the row's.
                double step = columns.Max(i => Math.Abs((double)x[i])) / ActivationBlock.LargestCode + largest / ActivationBlock.LargestCode / ActivationBlock.LargestScale;
                foreach (int i in columns) Assert.That(Value(blocks, i), Is.EqualTo((double)x[i]).Within(step / 2 * 1.00001), $"element {i}");
            }
    }

    /// <summary>The error of plain blocks of 32, as llama.cpp has them, and ours, which must be less: by a seventh for normal values, by a quarter if some stick out.</summary>
    [TestCase(false, 0.88)]
    [TestCase(true, 0.75)]
    public void Errors_are_smaller_than_with_one_scale_per_32(bool hasOutliers, double ratio)
    {
        float[] x = MatrixTests.Normal(1 << 14, seed: 2);
        if (hasOutliers)
            for (int i = 0; i < x.Length; i += 97) x[i] *= 30;
        ActivationBlock[] blocks = Quantize(x);
        double plain = 0, ours = 0;
        for (int i = 0; i < x.Length; i++)
        {
            float step = x.AsSpan(i / 32 * 32, 32).ToArray().Max(MathF.Abs) / 127;
            plain += Math.Pow(step * MathF.Round(x[i] / step) - x[i], 2);
            ours += Math.Pow(Value(blocks, i) - x[i], 2);
        }
        Assert.That(Math.Sqrt(ours / plain), Is.LessThan(ratio));
    }

    [Test]
    public void Sums_are_those_of_the_codes()
    {
        ActivationBlock[] blocks = Quantize(Draw(seed: 3));
        foreach (ActivationBlock block in blocks)
        {
            int[] quarters = [.. Enumerable.Range(0, 4).Select(eighth => Enumerable.Range(eighth * 8, 8).Sum(column => Code(block, column)))];
            Assert.That(Pair(block.MinusEight), Is.EqualTo((-8 * (quarters[0] + quarters[2]), -8 * (quarters[1] + quarters[3]))));
            Assert.That(Pair(block.MinusSixteen), Is.EqualTo((-16 * (quarters[0] + quarters[2]), -16 * (quarters[1] + quarters[3]))));
            Assert.That(Pair(MinusThirtyTwo(block, 0)), Is.EqualTo((-32 * quarters[0], -32 * quarters[1])));
            Assert.That(Pair(MinusThirtyTwo(block, 1)), Is.EqualTo((-32 * quarters[2], -32 * quarters[3])));
            (int even, int odd) = Pair(block.Scales);
            Assert.That(block.Sum, Is.EqualTo((float)(even * (quarters[0] + quarters[2]) + odd * (quarters[1] + quarters[3]))));
        }
    }

    [Test]
    public void Kernels_find_what_they_look_for_by_index()
    {
        ActivationBlock block = default;
        block.MinusThirtyTwo[0] = 1;
        Assert.That(((int*)&block)[ActivationBlock.MinusThirtyTwoIndex], Is.EqualTo(1));
        Assert.That(sizeof(ActivationBlock), Is.EqualTo(64));
    }

    [Test]
    public void Codes_and_scales_keep_to_their_ranges([Values(0, 1, 31, 100)] int at, [Values(-1f, 1e-3f, -1e-9f, 1e6f)] float size)
    {
        float[] x = Draw(seed: 4);
        x[at] = size;
        foreach (ActivationBlock block in Quantize(x))
        {
            Assert.That(Enumerable.Range(0, 32).Select(column => Code(block, column)), Is.All.InRange(-127, 127));
            Assert.That(Pair(block.Scales).Even, Is.InRange(1, 32767));
            Assert.That(Pair(block.Scales).Odd, Is.InRange(1, 32767));
        }
    }

    [TestCase(0f)]
    [TestCase(1e-40f)]
    public void A_row_of_hardly_anything_is_zero(float size)
    {
        foreach (ActivationBlock block in Quantize([.. Enumerable.Repeat(size, 64)])) Assert.That(new ReadOnlySpan<byte>(&block, sizeof(ActivationBlock)).ToArray(), Is.All.Zero);
    }

    [Test]
    public void A_row_that_is_not_finite_has_such_a_scale([Values(0, 13, 63)] int at, [Values(float.NaN, float.NegativeInfinity)] float bad)
    {
        float[] x = Draw(seed: 5);
        x[at] = bad;
        Assert.That(Quantize(x).Select(block => block.RowScale).Any(float.IsFinite), Is.False);
    }

    [Test]
    public void Wider_vectors_make_the_same_blocks([Values(1, 2, 3)] int seed)
    {
        if (!Vectors512.IsSupported) Assert.Ignore("This machine has no AVX-512.");
        float[] x = [.. Draw(seed), .. new float[32], .. MatrixTests.Normal(32, seed).Select(v => v * 1e3f)];
        float inverseStep = ActivationBlock.LargestScale / x.Max(MathF.Abs), inverse = inverseStep * ActivationBlock.LargestCode;
        fixed (float* values = x)
            for (int i = 0; i < x.Length; i += ActivationBlock.Length)
            {
                ActivationBlock narrow = default, wide = default;
                ActivationQuantizer.QuantizeBlock(values + i, inverse, inverseStep, &narrow);
                ActivationQuantizer.QuantizeWide(values + i, inverse, inverseStep, &wide);
                Assert.That(new ReadOnlySpan<byte>(&wide, sizeof(ActivationBlock)).ToArray(), Is.EqualTo(new ReadOnlySpan<byte>(&narrow, sizeof(ActivationBlock)).ToArray()), $"block {i / ActivationBlock.Length}");
            }
    }

    /// <summary>The blocks of a row.</summary>
    internal static ActivationBlock[] Quantize(float[] x)
    {
        var blocks = new ActivationBlock[x.Length / ActivationBlock.Length];
        fixed (float* values = x)
        fixed (ActivationBlock* target = blocks) ActivationQuantizer.Quantize(values, target, x.Length);
        return blocks;
    }

    /// <summary>What an element became.</summary>
    internal static double Value(ActivationBlock[] blocks, int index)
    {
        ActivationBlock block = blocks[index / 32];
        (int even, int odd) = Pair(block.Scales);
        return (double)block.RowScale * (index / 8 % 2 == 0 ? even : odd) * Code(block, index % 32);
    }

    /// <summary>Four blocks of elements whose sizes range over many orders of magnitude.</summary>
    private static float[] Draw(int seed) => [.. MatrixTests.Normal(128, seed).Select((v, i) => v * MathF.Pow(10, -(i / 8 % 5)))];

    private static int Code(ActivationBlock block, int column) => block.Codes[column / 16 * 16 + column % 8 / 2 * 4 + column / 8 % 2 * 2 + column % 2];

    private static int MinusThirtyTwo(ActivationBlock block, int part) => block.MinusThirtyTwo[part];

    private static (int Even, int Odd) Pair(int pair) => ((short)pair, pair >> 16);
}
