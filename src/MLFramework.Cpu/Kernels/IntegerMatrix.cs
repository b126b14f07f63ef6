using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>
/// How the 32 integer weights of 8 rows are stored in an <see cref="IntegerMatrix{TWeights, TSimd}"/>. They come in 16 pairs of columns; a vector holds
/// one pair of all 8 rows.
/// </summary>
internal unsafe interface IIntegerWeights
{
    /// <summary>Bytes of 8 rows × 32 weights.</summary>
    static abstract int Size { get; }

    /// <summary>Writes a weight.</summary>
    static abstract void Store(byte* block, int row, int column, sbyte value);

    /// <summary>Reads a weight.</summary>
    static abstract int Read(byte* block, int row, int column);

    /// <summary>Reads pair <paramref name="index"/> of 0 to 7.</summary>
    static abstract Vector256<short> LoadLower<TSimd>(byte* block, int index) where TSimd : struct, ISimd;

    /// <summary>Reads pair 8 + <paramref name="index"/>.</summary>
    static abstract Vector256<short> LoadUpper<TSimd>(byte* block, int index) where TSimd : struct, ISimd;
}

/// <summary>Four bits, −8 to 7: pair i in the low half of a byte, pair 8 + i in the high half.</summary>
internal readonly unsafe struct NibbleWeights : IIntegerWeights
{
    private const int Offset = 8;

    public static int Size => 128;

    public static void Store(byte* block, int row, int column, sbyte value) =>
        block[column / 2 % 8 * 16 + row * 2 + column % 2] |= (byte)((value + Offset) << column / 16 * 4);

    public static int Read(byte* block, int row, int column) =>
        (block[column / 2 % 8 * 16 + row * 2 + column % 2] >> column / 16 * 4 & 15) - Offset;

    public static Vector256<short> LoadLower<TSimd>(byte* block, int index) where TSimd : struct, ISimd =>
        (TSimd.Widen(block + index * 16) & Vector256.Create((short)15)) - Vector256.Create((short)Offset);

    public static Vector256<short> LoadUpper<TSimd>(byte* block, int index) where TSimd : struct, ISimd =>
        (TSimd.Widen(block + index * 16) >>> 4) - Vector256.Create((short)Offset);
}

/// <summary>
/// Integer weights with a scale per 32, times 16-bit activations with a scale per 32. Within a block the sum is exact (at most 32 × 128 × 32767, which
/// fits 32 bits); over the blocks an element of the product is one chain of fused multiply-adds.
/// </summary>
/// <remarks>
/// Activations of 16 bits rather than 8: without dot-product instructions they cost the same, cannot saturate, and leave an error near that of floats.
/// </remarks>
internal sealed unsafe class IntegerMatrix<TWeights, TSimd> : PackedMatrix
    where TWeights : struct, IIntegerWeights
    where TSimd : struct, ISimd
{
    private const int GroupRows = 8, BlockLength = Padding.Unit, GroupsPerPanel = PanelRows / GroupRows, PairsPerHalf = 8;
    private const int PrefetchBytes = 4096, CacheLine = 64;

    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns, a multiple of 32.</param>
    /// <param name="readRow">Writes a row; called from several threads.</param>
    public IntegerMatrix(int rows, int columns, CodeRowReader readRow)
        : base(rows, columns, (long)(columns / BlockLength) * GroupsPerPanel * GroupBytes)
    {
        PackWith(panel =>
        {
            var codes = new sbyte[columns];
            var scales = new Half[columns / BlockLength];
            for (int lane = 0; lane < PanelRows && panel * PanelRows + lane < rows; lane++)
            {
                readRow(panel * PanelRows + lane, codes, scales);
                for (int block = 0; block < scales.Length; block++)
                {
                    byte* group = Panel(panel) + (block * GroupsPerPanel + lane / GroupRows) * GroupBytes;
                    for (int i = 0; i < BlockLength; i++) TWeights.Store(group, lane % GroupRows, i, codes[block * BlockLength + i]);
                    ((float*)(group + TWeights.Size))[lane % GroupRows] = (float)scales[block];
                }
            }
        });
    }

    public override ActivationFormat Format => ActivationFormat.Int16;

    /// <summary>Bytes of 8 rows × 32 weights with their scales.</summary>
    private static int GroupBytes => TWeights.Size + GroupRows * sizeof(float);

    public override void ReadRow(int row, Span<float> weights)
    {
        int lane = row % PanelRows;
        for (int block = 0; block < Columns / BlockLength; block++)
        {
            byte* group = Panel(row / PanelRows) + (block * GroupsPerPanel + lane / GroupRows) * GroupBytes;
            float scale = ((float*)(group + TWeights.Size))[lane % GroupRows];
            for (int i = 0; i < BlockLength; i++) weights[block * BlockLength + i] = TWeights.Read(group, lane % GroupRows, i) * scale;
        }
    }

    protected override void MultiplyTile(int panel, ActivationRows input, float* output, int outputStride, bool prefetches)
    {
        int blocks = Columns / BlockLength, scaleStride = input.Stride / BlockLength;
        byte* weights = Panel(panel);
        short* x = input.Codes;
        float* scales = input.Scales, y = output;
        int left = input.Count;
        for (; left >= 4; left -= 4, x += 4L * input.Stride, scales += 4L * scaleStride, y += 4L * outputStride)
        {
            MultiplyFour(weights, x, input.Stride, scales, scaleStride, blocks, y, outputStride);
            MultiplyFour(weights + 2 * GroupBytes, x, input.Stride, scales, scaleStride, blocks, y + 2 * GroupRows, outputStride);
        }
        for (; left > 0; left--, x += input.Stride, scales += scaleStride, y += outputStride) MultiplyOne(weights, x, scales, blocks, y);
    }

    /// <summary>Four groups of eight rows with one activation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyOne(byte* w, short* x, float* scales, int blocks, float* y)
    {
        Vector256<float> sum0 = Vector256<float>.Zero, sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int block = 0; block < blocks; block++, x += BlockLength)
        {
            Vector256<int> dot0 = Vector256<int>.Zero, dot1 = dot0, dot2 = dot0, dot3 = dot0;
            byte* w1 = w + GroupBytes, w2 = w1 + GroupBytes, w3 = w2 + GroupBytes;
            for (int line = 0; line < GroupsPerPanel * GroupBytes; line += CacheLine) TSimd.Prefetch(w + PrefetchBytes + line);
            for (int i = 0; i < PairsPerHalf; i++)
            {
                Vector256<short> a = Vector256.Create(*(int*)(x + 2 * i)).AsInt16(), b = Vector256.Create(*(int*)(x + 16 + 2 * i)).AsInt16();
                dot0 = TSimd.AddPairProducts(dot0, TWeights.LoadLower<TSimd>(w, i), a);
                dot1 = TSimd.AddPairProducts(dot1, TWeights.LoadLower<TSimd>(w1, i), a);
                dot2 = TSimd.AddPairProducts(dot2, TWeights.LoadLower<TSimd>(w2, i), a);
                dot3 = TSimd.AddPairProducts(dot3, TWeights.LoadLower<TSimd>(w3, i), a);
                dot0 = TSimd.AddPairProducts(dot0, TWeights.LoadUpper<TSimd>(w, i), b);
                dot1 = TSimd.AddPairProducts(dot1, TWeights.LoadUpper<TSimd>(w1, i), b);
                dot2 = TSimd.AddPairProducts(dot2, TWeights.LoadUpper<TSimd>(w2, i), b);
                dot3 = TSimd.AddPairProducts(dot3, TWeights.LoadUpper<TSimd>(w3, i), b);
            }
            Vector256<float> scale = Vector256.Create(scales[block]);
            sum0 = Scaled(dot0, w, scale, sum0);
            sum1 = Scaled(dot1, w1, scale, sum1);
            sum2 = Scaled(dot2, w2, scale, sum2);
            sum3 = Scaled(dot3, w3, scale, sum3);
            w += GroupsPerPanel * GroupBytes;
        }
        sum0.Store(y);
        sum1.Store(y + GroupRows);
        sum2.Store(y + 2 * GroupRows);
        sum3.Store(y + 3 * GroupRows);
    }

    /// <summary>Two groups of eight rows with four activations. The eight dot products of a block fill the registers, so the sums stay on the stack.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyFour(byte* w, short* x, long stride, float* scales, long scaleStride, int blocks, float* y, long outputStride)
    {
        Vector256<float>* sums = stackalloc Vector256<float>[8];
        for (int i = 0; i < 8; i++) sums[i] = Vector256<float>.Zero;
        short* xb = x + stride, xc = xb + stride, xd = xc + stride;
        for (int block = 0; block < blocks; block++)
        {
            Vector256<int> a0 = Vector256<int>.Zero, a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
            byte* next = w + GroupBytes;
            for (int i = 0; i < PairsPerHalf; i++)
            {
                Vector256<short> w0 = TWeights.LoadLower<TSimd>(w, i), w1 = TWeights.LoadLower<TSimd>(next, i);
                Vector256<short> v = Vector256.Create(*(int*)(x + 2 * i)).AsInt16();
                a0 = TSimd.AddPairProducts(a0, w0, v);
                a1 = TSimd.AddPairProducts(a1, w1, v);
                v = Vector256.Create(*(int*)(xb + 2 * i)).AsInt16();
                b0 = TSimd.AddPairProducts(b0, w0, v);
                b1 = TSimd.AddPairProducts(b1, w1, v);
                v = Vector256.Create(*(int*)(xc + 2 * i)).AsInt16();
                c0 = TSimd.AddPairProducts(c0, w0, v);
                c1 = TSimd.AddPairProducts(c1, w1, v);
                v = Vector256.Create(*(int*)(xd + 2 * i)).AsInt16();
                d0 = TSimd.AddPairProducts(d0, w0, v);
                d1 = TSimd.AddPairProducts(d1, w1, v);

                w0 = TWeights.LoadUpper<TSimd>(w, i);
                w1 = TWeights.LoadUpper<TSimd>(next, i);
                v = Vector256.Create(*(int*)(x + 16 + 2 * i)).AsInt16();
                a0 = TSimd.AddPairProducts(a0, w0, v);
                a1 = TSimd.AddPairProducts(a1, w1, v);
                v = Vector256.Create(*(int*)(xb + 16 + 2 * i)).AsInt16();
                b0 = TSimd.AddPairProducts(b0, w0, v);
                b1 = TSimd.AddPairProducts(b1, w1, v);
                v = Vector256.Create(*(int*)(xc + 16 + 2 * i)).AsInt16();
                c0 = TSimd.AddPairProducts(c0, w0, v);
                c1 = TSimd.AddPairProducts(c1, w1, v);
                v = Vector256.Create(*(int*)(xd + 16 + 2 * i)).AsInt16();
                d0 = TSimd.AddPairProducts(d0, w0, v);
                d1 = TSimd.AddPairProducts(d1, w1, v);
            }
            Vector256<float> scale = Vector256.Create(scales[block]);
            sums[0] = Scaled(a0, w, scale, sums[0]);
            sums[1] = Scaled(a1, next, scale, sums[1]);
            scale = Vector256.Create(scales[scaleStride + block]);
            sums[2] = Scaled(b0, w, scale, sums[2]);
            sums[3] = Scaled(b1, next, scale, sums[3]);
            scale = Vector256.Create(scales[2 * scaleStride + block]);
            sums[4] = Scaled(c0, w, scale, sums[4]);
            sums[5] = Scaled(c1, next, scale, sums[5]);
            scale = Vector256.Create(scales[3 * scaleStride + block]);
            sums[6] = Scaled(d0, w, scale, sums[6]);
            sums[7] = Scaled(d1, next, scale, sums[7]);
            w += GroupsPerPanel * GroupBytes;
            x += BlockLength;
            xb += BlockLength;
            xc += BlockLength;
            xd += BlockLength;
        }
        for (int i = 0; i < 8; i++) sums[i].Store(y + i / 2 * outputStride + i % 2 * GroupRows);
    }

    /// <summary>Adds a block's dot products of eight rows, scaled.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Scaled(Vector256<int> dot, byte* group, Vector256<float> activationScale, Vector256<float> sum) =>
        Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(dot), Vector256.Load((float*)(group + TWeights.Size)) * activationScale, sum);
}
