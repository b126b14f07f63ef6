namespace MLFramework.Cpu.Tests;

/// <summary>Packed matrices against plain loops in double precision.</summary>
public sealed unsafe class MatrixTests
{
    /// <summary>Weights of this size have scales that are subnormal halves.</summary>
    private const float Small = 1e-4f;

    private static readonly TensorType[] Types =
    [
        TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q4_K, TensorType.Q5_K,
        TensorType.Q6_K,
    ];

    /// <summary>
    /// What rounding leaves: 2^-24 per operation for floats, 2^-15 per activation for 16-bit integers, and for 8-bit ones half of 1/127 of the largest of 16.
    /// Against the rounded activations only the rounding of floats is left of that.
    /// </summary>
    [Test]
    public void Products_are_those_of_the_dequantized_weights([ValueSource(nameof(Types))] TensorType type, [Values(1, 2, 3, 4, 5, 6, 7, 8, 9, 70)] int count, [Values(1, Small)] float size)
    {
        const int Rows = 72, Columns = 512;
        float[] activations = Normal(count * Columns, seed: 1);
        using GgufFile file = File(type, Rows, Columns, out float[] weights, size);
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using PackedMatrix matrix = Packed(file, kernels, "w", Rows, Columns);
            float[] products = Multiply(matrix, activations, count);
            double[] exact = [.. activations.Select(x => (double)x)], rounded = [.. Enumerable.Range(0, count).SelectMany(i => Rounded(matrix.Format, activations.AsSpan(i * Columns, Columns)))];
            Assert.That(Error(exact), Is.LessThan(matrix.Format switch { ActivationFormat.Single => 1e-6, ActivationFormat.Int16 => 1e-4, _ => 7e-3 }), $"{kernels}");
            Assert.That(Error(rounded), Is.LessThan(1e-6), $"{kernels}");
            Assert.That(products.Where((_, i) => i % Padding.Pad(Rows) >= Rows), Is.All.Zero, "Padding.");

            double Error(double[] x)
            {
                double error = 0, size = 0;
                for (int i = 0; i < count; i++)
                    for (int row = 0; row < Rows; row++)
                    {
                        double expected = Dot(weights.AsSpan(row * Columns, Columns), x.AsSpan(i * Columns, Columns));
                        error += Math.Pow(products[i * Padding.Pad(Rows) + row] - expected, 2);
                        size += expected * expected;
                    }
                return Math.Sqrt(error / size);
            }
        }
    }

    [Test]
    public void Products_are_the_same_bits_on_every_instruction_set_and_in_every_batch([ValueSource(nameof(Types))] TensorType type)
    {
        const int Rows = 40, Columns = 512, Count = 70;
        float[] activations = Normal(Count * Columns, seed: 2);
        using GgufFile file = File(type, Rows, Columns, out _);
        using PackedMatrix reference = Packed(file, KernelSet.Portable, "w", Rows, Columns);
        float[] alone = [.. Enumerable.Range(0, Count).SelectMany(i => Multiply(reference, activations[(i * Columns)..((i + 1) * Columns)], 1))];
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using PackedMatrix matrix = Packed(file, kernels, "w", Rows, Columns);
            Assert.That(Bits(Multiply(matrix, activations, Count)), Is.EqualTo(Bits(alone)), $"{kernels}");
        }
    }

    [Test]
    public void Rows_are_read_back_as_they_are_dequantized([ValueSource(nameof(Types))] TensorType type, [Values(1, Small)] float size)
    {
        const int Rows = 72, Columns = 256;
        using GgufFile file = File(type, Rows, Columns, out float[] weights, size);
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using PackedMatrix matrix = Packed(file, kernels, "w", Rows, Columns);
            var row = new float[Columns];
            for (int i = 0; i < Rows; i++)
            {
                matrix.ReadRow(i, row);
                Assert.That(row, Is.EqualTo(weights[(i * Columns)..((i + 1) * Columns)]), $"{kernels}, row {i}");
            }
        }
    }

    [Test]
    public void Rows_can_be_brought_into_another_order()
    {
        using GgufFile file = File(TensorType.F32, 8, 32, out float[] weights);
        using PackedMatrix matrix = Packed(file, KernelSet.Best, "w", 8, 32, row => 7 - row);
        var unit = new float[32];
        unit[5] = 1;

        Assert.That(Multiply(matrix, unit, 1)[..8], Is.EqualTo(Enumerable.Range(0, 8).Select(row => weights[(7 - row) * 32 + 5])));
    }

    [Test]
    public void A_tensor_can_hold_several_matrices_below_each_other([ValueSource(nameof(Types))] TensorType type)
    {
        const int Rows = 72, Columns = 256, First = 24, Count = 40;
        using GgufFile file = File(type, Rows, Columns, out _);
        using PackedMatrix whole = Packed(file, KernelSet.Best, "w", Rows, Columns);
        using PackedMatrix part = Packed(file, KernelSet.Best, "w", Count, Columns, row => Count - 1 - row, new TensorPart(First, Rows));
        float[] x = Normal(Columns, seed: 5);

        Assert.That(Bits(Multiply(part, x, 1)[..Count]), Is.EqualTo(Bits(Multiply(whole, x, 1)[First..(First + Count)].Reverse())));
        Assert.That(() => Packed(file, KernelSet.Best, "w", Count, Columns, part: new TensorPart(First, Rows + 1)), Throws.TypeOf<GgufException>().With.Message.Contains("[256, 73]"));
    }

    [Test]
    public void The_largest_codes_do_not_overflow()
    {
        var block = new byte[34];
        BitConverter.TryWriteBytes(block, (Half)1);
        block.AsSpan(2).Fill(0x80); // −128
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().AddTensor("w", TensorType.Q8_0, [32, 1], block)));
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using PackedMatrix matrix = Packed(file, kernels, "w", 1, 32);
            Assert.That(Multiply(matrix, [.. Enumerable.Repeat(1f, 32)], 1)[0], Is.EqualTo(-4096).Within(1e-3), $"{kernels}");
        }
    }

    /// <summary>
    /// Every code at its end of the range, against activations of the largest code and scale, of the same sign and of alternating ones: sums as large as
    /// can be, and products that cancel. The result must be that of the rounded activations, but for the rounding of floats.
    /// </summary>
    [Test]
    public void No_sum_of_the_narrow_types_overflows(
        [Values(TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q4_K, TensorType.Q5_K, TensorType.Q6_K)] TensorType type,
        [Values(0x00, 0xFF, 0x0F, 0xF0)] int codes, [Values(1, -1)] int sign, [Values] bool alternates)
    {
        const int Columns = 512;
        // All bytes are codes, or factors of scales as large as they can be; only the halves are set.
        byte[] row = [.. Enumerable.Repeat((byte)codes, (int)type.RowBytes(Columns))];
        for (int block = 0; block < row.Length; block += type.Layout().Bytes)
        {
            BitConverter.TryWriteBytes(row.AsSpan(block + (type == TensorType.Q6_K ? type.Layout().Bytes - 2 : 0)), (Half)1);
            if (type is TensorType.Q4_1 or TensorType.Q5_1 or TensorType.Q4_K or TensorType.Q5_K) BitConverter.TryWriteBytes(row.AsSpan(block + 2), (Half)(-3));
        }
        var weights = new float[Columns];
        Dequantizer.Dequantize(type, row, weights);
        float[] activations = [.. Enumerable.Range(0, Columns).Select(i => sign * (alternates && i % 2 == 1 ? -1f : 1f))];
        double expected = Dot(weights, Array.ConvertAll(activations, x => (double)x)), size = weights.Sum(weight => Math.Abs((double)weight));
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().AddTensor("w", type, [Columns, 1], row)));
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using PackedMatrix matrix = Packed(file, kernels, "w", 1, Columns);
            foreach (int count in (int[])[1, 3])
                Assert.That(Multiply(matrix, [.. Enumerable.Repeat(activations, count).SelectMany(row => row)], count)[0], Is.EqualTo(expected).Within(1e-6 * size), $"{kernels}");
        }
    }

    [TestCase(TensorType.Q4_0)]
    [TestCase(TensorType.Q6_K)]
    public void Activations_that_are_no_numbers_stay_none(TensorType type)
    {
        using GgufFile file = File(type, 32, 256, out _);
        foreach (KernelSet kernels in KernelSet.Supported)
            foreach (float bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
            {
                using PackedMatrix matrix = Packed(file, kernels, "w", 32, 256);
                float[] activations = Normal(512, seed: 4);
                activations[77] = bad;
                float[] products = Multiply(matrix, activations, 2);
                Assert.That(products[..32].Any(float.IsFinite), Is.False, $"{kernels}, {bad}");
                Assert.That(products[32..].All(float.IsFinite), $"{kernels}, {bad}: the other row.");
            }
    }

    [Test]
    public void Packed_weights_take_hardly_more_bytes_than_in_the_file([ValueSource(nameof(Types))] TensorType type)
    {
        using GgufFile file = File(type, 64, 512, out _);
        using PackedMatrix matrix = Packed(file, KernelSet.Best, "w", 64, 512);
        Assert.That(matrix.Bytes, Is.InRange(64 * type.RowBytes(512), 64 * type.RowBytes(512) * 1.03));
    }

    [TestCase(TensorType.Q4_0, 0)]
    [TestCase(TensorType.Q5_1, 2)]
    [TestCase(TensorType.Q4_K, 2)]
    [TestCase(TensorType.Q6_K, 208)]
    public void Scales_and_minima_that_are_no_numbers_are_refused(TensorType type, int offset)
    {
        var rows = new byte[2 * type.RowBytes(256)];
        BitConverter.TryWriteBytes(rows.AsSpan((int)type.RowBytes(256) + offset), Half.NaN);
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().AddTensor("w", type, [256, 2], rows)));
        Assert.That(() => Packed(file, KernelSet.Best, "w", 2, 256), Throws.TypeOf<GgufException>().With.Message.Contains("'w'").And.Message.Contains("row 1"));
    }

    [Test]
    public void Halves_that_are_no_numbers_are_refused()
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().AddTensor("w", TensorType.F16, [32, 2], new float[63].Append(float.PositiveInfinity).ToArray())));
        Assert.That(() => Packed(file, KernelSet.Best, "w", 2, 32), Throws.TypeOf<GgufException>().With.Message.Contains("'w'").And.Message.Contains("row 1"));
    }

    internal static float[] Normal(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    internal static IEnumerable<uint> Bits(IEnumerable<float> values) => values.Select(BitConverter.SingleToUInt32Bits);

    /// <summary>Packs a matrix.</summary>
    internal static PackedMatrix Packed(GgufFile file, KernelSet kernels, string name, int rows, int columns, Func<int, int>? order = null, TensorPart? part = null)
    {
        using var reader = new WeightReader(file, kernels);
        PackedMatrix matrix = reader.Matrix(name, rows, columns, order, part);
        reader.Pack(threads: 2);
        reader.HandOver();
        return matrix;
    }

    private static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>A row of activations as a kernel sees it.</summary>
    private static double[] Rounded(ActivationFormat format, ReadOnlySpan<float> row)
    {
        float[] values = row.ToArray();
        switch (format)
        {
            case ActivationFormat.Int16:
                short[] codes = new short[values.Length];
                float[] scales = new float[values.Length / Padding.Unit];
                fixed (float* x = values, s = scales)
                fixed (short* c = codes) KernelSet.Best.Rows.Quantize(x, c, s, values.Length);
                return [.. codes.Select((code, i) => (double)code * scales[i / Padding.Unit])];
            case ActivationFormat.Int8:
                ActivationBlock[] blocks = ActivationQuantizerTests.Quantize(values);
                return [.. values.Select((_, i) => ActivationQuantizerTests.Value(blocks, i))];
            default:
                return [.. values.Select(x => (double)x)];
        }
    }

    /// <summary>A file with one matrix "w", and its weights as the file says them.</summary>
    private static GgufFile File(TensorType type, int rows, int columns, out float[] weights, float size = 1)
    {
        float[] drawn = [.. Normal(rows * columns, seed: 3).Select(weight => weight * size)];
        var file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().AddTensor("w", type, [columns, rows], drawn.AsSpan())));
        weights = new float[rows * columns];
        file.Dequantize(file.GetTensor("w"), 0, weights);
        return file;
    }

    private static float[] Multiply(PackedMatrix matrix, float[] activations, int count)
    {
        int stride = Padding.Pad(matrix.Columns), outputs = Padding.Pad(matrix.Rows);
        using var values = new NativeBuffer<float>(count * stride);
        using var codes = new NativeBuffer<short>(count * stride);
        using var scales = new NativeBuffer<float>(count * stride / Padding.Unit);
        using var blocks = new NativeBuffer<ActivationBlock>(count * stride / ActivationBlock.Length);
        using var products = new NativeBuffer<float>(count * outputs);
        using var scratch = new NativeBuffer<short>(matrix.ScratchLength);
        for (int i = 0; i < count; i++)
        {
            activations.AsSpan(i * matrix.Columns, matrix.Columns).CopyTo(new Span<float>(values.Pointer + i * stride, stride));
            KernelSet.Best.Rows.Quantize(values.Pointer + i * stride, codes.Pointer + i * stride, scales.Pointer + i * stride / Padding.Unit, stride);
            ActivationQuantizer.Quantize(values.Pointer + i * stride, blocks.Pointer + i * stride / ActivationBlock.Length, stride);
        }
        matrix.Multiply(new ActivationRows(values.Pointer, codes.Pointer, scales.Pointer, blocks.Pointer, count, stride), products.Pointer, outputs, 0, matrix.PanelCount, scratch.Pointer);
        return new Span<float>(products.Pointer, count * outputs).ToArray();
    }
}
