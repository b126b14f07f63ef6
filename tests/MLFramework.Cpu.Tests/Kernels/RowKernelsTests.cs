using System.Runtime.Intrinsics;

namespace MLFramework.Cpu.Tests;

/// <summary>Row kernels of each instruction set against plain loops in double precision, and against each other.</summary>
[TestFixtureSource(nameof(Sets))]
public sealed unsafe class RowKernelsTests(string set)
{
    private readonly RowKernels _kernels = KernelSet.Supported.Single(kernels => kernels.ToString() == set).Rows;

    private static IEnumerable<string> Sets => KernelSet.Supported.Select(kernels => $"{kernels}");

    private static float[] Run(float[] input, Action<nint, nint> kernel)
    {
        using var buffers = new NativeBuffer<float>(2 * input.Length);
        input.CopyTo(new Span<float>(buffers.Pointer, input.Length));
        kernel((nint)buffers.Pointer, (nint)(buffers.Pointer + input.Length));
        return new Span<float>(buffers.Pointer + input.Length, input.Length).ToArray();
    }

    [Test]
    public void Normalizing_divides_by_the_root_of_the_mean_square()
    {
        float[] x = [.. MatrixTests.Normal(40, 1), .. new float[24]], weight = [.. MatrixTests.Normal(40, 2), .. new float[24]];
        bool isFinite = false;
        float[] result = Run(x, (input, output) =>
        {
            fixed (float* w = weight) isFinite = _kernels.RmsNorm((float*)input, w, (float*)output, 40, 1e-5f);
        });
        double root = Math.Sqrt(x.Sum(v => (double)v * v) / 40 + 1e-5);
        Assert.That(isFinite);
        Assert.That(result, Is.EqualTo(x.Zip(weight, (v, w) => v * w / root)).Within(1e-6));
    }

    [TestCase(float.NaN)]
    [TestCase(float.NegativeInfinity)]
    [TestCase(1e30f)]
    public void Normalizing_tells_what_is_no_finite_number(float bad)
    {
        var x = new float[32];
        x[17] = bad;
        bool isFinite = true;
        Run(x, (input, output) => isFinite = _kernels.RmsNorm((float*)input, (float*)input, (float*)output, 32, 1e-5f));
        Assert.That(isFinite, Is.False);
    }

    [Test]
    public void The_gate_is_a_sigmoid_linear_unit()
    {
        float[] gate = [-1e30f, -200, -90, -20, -1, -1e-6f, 0, 1e-6f, 1, 20, 90, 1e30f, .. MatrixTests.Normal(20, 3)];
        float[] result = Run(gate, (input, output) =>
        {
            for (int i = 0; i < 32; i++) ((float*)output)[i] = 2;
            _kernels.Gate(GateActivation.Silu, (float*)input, (float*)output, 16, (float*)output, 16, rows: 2, 16);
        });
        for (int i = 0; i < 32; i++)
        {
            double expected = 2 * gate[i] / (1 + Math.Exp(-(double)gate[i]));
            // Far to the left the sigmoid stops at e^-87.
            Assert.That(result[i], Is.EqualTo(expected).Within(Math.Max(Math.Abs(expected) * 1e-6, gate[i] < -87 ? -gate[i] * 1e-37 : 0)), $"{gate[i]}");
        }
    }

    [Test]
    public void The_other_gate_is_a_gaussian_error_linear_unit()
    {
        float[] gate = [-1e30f, -200, -9, -5, -3, -1, -1e-6f, 0, 1e-6f, 1, 9, 1e30f, .. MatrixTests.Normal(20, 3)];
        float[] result = Run(gate, (input, output) =>
        {
            for (int i = 0; i < 32; i++) ((float*)output)[i] = 2;
            _kernels.Gate(GateActivation.Gelu, (float*)input, (float*)output, 0, (float*)output, 0, rows: 1, 32);
        });
        for (int i = 0; i < 32; i++)
        {
            double x = gate[i], expected = x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
            // Far to the left it stops at e^-87, and before that the exponent's rounding counts as often as it is large.
            Assert.That(result[i], Is.EqualTo(expected).Within(Math.Max(Math.Abs(expected) * (x < -2 ? 1e-5 : 1e-6), 2 * Math.Abs(x) * 1e-15)), $"{x}");
        }
    }

    [Test]
    public void A_gate_that_is_no_number_stays_none([Values] bool isSilu, [Values(0, 15, 31)] int at)
    {
        float[] gate = new float[32];
        gate[at] = float.NaN;
        float[] result = Run(gate, (input, output) =>
        {
            for (int i = 0; i < 32; i++) ((float*)output)[i] = 1;
            _kernels.Gate(isSilu ? GateActivation.Silu : GateActivation.Gelu, (float*)input, (float*)output, 0, (float*)output, 0, rows: 1, 32);
        });
        Assert.That(result.Select(float.IsNaN), Is.EqualTo(gate.Select(float.IsNaN)));
    }

    [Test]
    public void Every_instruction_set_computes_the_same_bits()
    {
        const int Length = 96;
        float[] x = [.. MatrixTests.Normal(Length - 8, 11), 0, -0f, 1e-39f, -1e30f, 1e30f, 90, -90, 1e-6f], y = MatrixTests.Normal(Length, 12);
        Assert.That(All(_kernels), Is.EqualTo(All(KernelSet.Portable.Rows)));

        List<uint> All(RowKernels kernels)
        {
            List<uint> bits = [];
            Add((a, b) => kernels.Add(a, b, Length));
            Add((a, b) => kernels.Scale(a, 1.7f, Length));
            Add((a, b) => kernels.RmsNorm(a, b, a, 40, 1e-5f), 40);
            Add((a, b) => kernels.Gate(GateActivation.Silu, a, b, 48, a, 48, rows: 2, 48));
            Add((a, b) => kernels.Gate(GateActivation.Gelu, a, b, 48, a, 48, rows: 2, 48));
            Add((a, b) => kernels.SoftCap(a, 30, Length));
            Add((a, b) => kernels.Rotate(a, b, 88));
            Add((a, b) => kernels.Quantize(a, (short*)b, b + Length / 2, Length));
            return bits;

            void Add(RowAction action, int length = Length)
            {
                using var buffers = new NativeBuffer<float>(2 * Length);
                x.AsSpan(0, length).CopyTo(new Span<float>(buffers.Pointer, length));
                y.CopyTo(new Span<float>(buffers.Pointer + Length, Length));
                action(buffers.Pointer, buffers.Pointer + Length);
                bits.AddRange(MatrixTests.Bits(new Span<float>(buffers.Pointer, 2 * Length).ToArray()));
            }
        }
    }

    private delegate void RowAction(float* first, float* second);

    [TestCase(8)]
    [TestCase(40)]
    [TestCase(256)]
    public void Heads_are_normalized_each_by_itself(int length)
    {
        float[] heads = MatrixTests.Normal(3 * length, 7), weight = MatrixTests.Normal(length, 8), result = [.. heads, -1];
        bool isFinite;
        fixed (float* r = result, w = weight) isFinite = RowKernels.NormalizeHeads(r, w, 3, length, 1e-5f);

        Assert.That(isFinite);
        Assert.That(result[^1], Is.EqualTo(-1), "Beyond the heads.");
        for (int head = 0; head < 3; head++)
        {
            float[] x = heads[(head * length)..((head + 1) * length)];
            double root = Math.Sqrt(x.Sum(v => (double)v * v) / length + 1e-5);
            Assert.That(result[(head * length)..((head + 1) * length)], Is.EqualTo(x.Zip(weight, (v, w) => v * w / root)).Within(2e-6));
        }
    }

    [TestCase(float.NaN)]
    [TestCase(float.NegativeInfinity)]
    [TestCase(1e30f)]
    public void Normalizing_heads_tells_what_is_no_finite_number(float bad)
    {
        float[] heads = new float[24], weight = new float[8];
        heads[11] = bad;
        fixed (float* h = heads, w = weight) Assert.That(RowKernels.NormalizeHeads(h, w, 3, 8, 1e-5f), Is.False);
    }

    [Test]
    public void A_capped_row_is_bounded_and_small_elements_stay()
    {
        float[] x = [-1e30f, -100, -30, -1, -1e-4f, 0, 1e-4f, 1, 30, 100, 1e30f, .. MatrixTests.Normal(21, 9)];
        float[] result = (float[])x.Clone();
        fixed (float* r = result) _kernels.SoftCap(r, 30, 32);
        for (int i = 0; i < 32; i++)
        {
            double expected = 30 * Math.Tanh(x[i] / 30.0);
            Assert.That(result[i], Is.EqualTo(expected).Within(Math.Abs(expected) * 1e-6), $"{x[i]}");
        }
    }

    [Test]
    public void A_scaled_row_is_multiplied()
    {
        float[] x = MatrixTests.Normal(32, 10), result = (float[])x.Clone();
        fixed (float* r = result) _kernels.Scale(r, 1.5f, 32);
        Assert.That(result, Is.EqualTo(x.Select(v => v * 1.5f)));
    }

    [Test]
    public void Exponentials_are_within_two_units_in_the_last_place()
    {
        for (float x = -87.25f; x < 88; x += 0.01171875f)
        {
            float e = VectorMath.Exp(Vector256.Create(x))[0];
            double expected = Math.Exp(x);
            Assert.That(Math.Abs(e - expected), Is.LessThanOrEqualTo(2 * (MathF.BitIncrement((float)expected) - (float)expected)), $"e^{x}");
        }
        Assert.That(VectorMath.Exp(Vector256.Create(float.NegativeInfinity))[0], Is.Zero);
    }

    [Test]
    public void Hyperbolic_tangents_are_within_four_units_in_the_last_place()
    {
        for (float x = 1e-30f; x < 100; x *= 1.003f)
            foreach (float signed in (float[])[x, -x])
            {
                float actual = Tanh(signed);
                double expected = Math.Tanh(signed);
                Assert.That(Math.Abs(actual - expected), Is.LessThanOrEqualTo(4 * (MathF.BitIncrement((float)Math.Abs(expected)) - (float)Math.Abs(expected))), $"tanh {signed}");
            }
        Assert.That(Tanh(0), Is.Zero);
        Assert.That(Tanh(float.PositiveInfinity), Is.EqualTo(1));
        Assert.That(Tanh(float.NaN), Is.NaN);
    }

    [Test]
    public void Halves_survive_the_way_there_and_back()
    {
        for (int bits = 0; bits < 1 << 16; bits++)
        {
            float value = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            if (!float.IsFinite(value)) continue;
            Assert.That(VectorMath.ToHalf(Vector256.Create(value))[0], Is.EqualTo(bits), $"{value}");
            Assert.That(BitConverter.SingleToUInt32Bits(VectorMath.FromHalf(Vector256.Create((int)(short)bits))[0]), Is.EqualTo(BitConverter.SingleToUInt32Bits(value)));
        }
    }

    [Test]
    public void Floats_are_rounded_to_halves_as_the_runtime_does()
    {
        foreach (float x in MatrixTests.Normal(2000, 4))
            foreach (float value in (float[])[x, x * 1000, x * 1e-6f])
                Assert.That(VectorMath.ToHalf(Vector256.Create(value))[0], Is.EqualTo(BitConverter.HalfToUInt16Bits((Half)value)), $"{value}");
    }

    [TestCase(8)]
    [TestCase(32)]
    [TestCase(40)]
    public void Rotating_turns_pairs_by_their_angles_and_leaves_the_rest(int width)
    {
        float[] head = MatrixTests.Normal(64, 5), angles = [.. Enumerable.Range(0, width / 2).Select(i => MathF.Cos(i)), .. Enumerable.Range(0, width / 2).Select(i => MathF.Sin(i))];
        float[] result = (float[])head.Clone();
        fixed (float* r = result, a = angles) _kernels.Rotate(r, a, width);
        for (int i = 0; i < width / 2; i++)
        {
            (double x, double y) = (head[i], head[width / 2 + i]);
            Assert.That(result[i], Is.EqualTo(x * Math.Cos(i) - y * Math.Sin(i)).Within(1e-6));
            Assert.That(result[width / 2 + i], Is.EqualTo(x * Math.Sin(i) + y * Math.Cos(i)).Within(1e-6));
        }
        Assert.That(result[width..], Is.EqualTo(head[width..]));
    }

    [TestCase(0f)]
    [TestCase(1e-40f)]
    [TestCase(1f)]
    [TestCase(3e38f)]
    public void Quantized_activations_keep_sixteen_bits(float size)
    {
        float[] x = [.. MatrixTests.Normal(31, 6).Select(v => Math.Clamp(v, -1, 1) * size), size];
        var codes = new short[32];
        var scales = new float[1];
        fixed (float* input = x, scale = scales)
        fixed (short* code = codes) _kernels.Quantize(input, code, scale, 32);
        Assert.That(codes.Select(code => (double)code * scales[0]), Is.EqualTo(x.Select(v => (double)v)).Within(Math.Max(size / 65000.0, 1e-38)));
    }

    [Test]
    public void A_number_that_is_not_finite_is_found_wherever_it_is([Values(0, 8, 15, 16, 20)] int index, [Values(float.NaN, float.PositiveInfinity)] float bad)
    {
        var x = new float[21];
        fixed (float* p = x)
        {
            Assert.That(RowKernels.IsFinite(p, 21));
            x[index] = bad;
            Assert.That(RowKernels.IsFinite(p, 21), Is.False);
        }
    }

    private static float Tanh(float x) => VectorMath.Tanh<Vectors128, Vector128<float>, Vector128<int>, Vector128<short>>(Vector128.Create(x)).ToScalar();
}
