using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>How a float weight is stored in a <see cref="FloatMatrix{TWeights, TSimd}"/>.</summary>
internal unsafe interface IFloatWeights : IStoredFloat
{
    /// <summary>Writes a weight.</summary>
    static abstract void Store(byte* destination, float value);

    /// <summary>Reads a weight.</summary>
    static abstract float Read(byte* source);
}

/// <summary>32-bit floats.</summary>
internal readonly unsafe struct SingleWeights : IFloatWeights
{
    public static int Size => 4;

    public static void Store(byte* destination, float value) => *(float*)destination = value;

    public static float Read(byte* source) => *(float*)source;

    public static Vector256<float> Load<TSimd>(byte* source) where TSimd : struct, ISimd => Vector256.Load((float*)source);
}

/// <summary>IEEE halves. Made from halves, so that storing rounds nothing.</summary>
internal readonly unsafe struct HalfWeights : IFloatWeights
{
    public static int Size => 2;

    public static void Store(byte* destination, float value) => *(Half*)destination = (Half)value;

    public static float Read(byte* source) => (float)*(Half*)source;

    public static Vector256<float> Load<TSimd>(byte* source) where TSimd : struct, ISimd => VectorMath.FromHalf(TSimd.Widen((short*)source));
}

/// <summary>Brain floats. Made from brain floats, so that storing rounds nothing.</summary>
internal readonly unsafe struct BrainWeights : IFloatWeights
{
    public static int Size => 2;

    public static void Store(byte* destination, float value) => *(ushort*)destination = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);

    public static float Read(byte* source) => BitConverter.UInt32BitsToSingle((uint)*(ushort*)source << 16);

    public static Vector256<float> Load<TSimd>(byte* source) where TSimd : struct, ISimd => (TSimd.Widen((ushort*)source) << 16).AsSingle();
}

/// <summary>
/// Float weights with float activations. A panel holds its 32 rows of column 0, then of column 1, and so on; an element of the product is one chain of
/// fused multiply-adds over the columns.
/// </summary>
internal sealed unsafe class FloatMatrix<TWeights, TSimd> : PackedMatrix
    where TWeights : struct, IFloatWeights
    where TSimd : struct, ISimd
{
    private const int PrefetchBytes = 2048;

    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns.</param>
    /// <param name="readRow">Writes a row's weights; called from several threads.</param>
    public FloatMatrix(int rows, int columns, WeightRowReader readRow)
        : base(rows, columns, (long)columns * PanelRows * TWeights.Size)
    {
        PackWith(panel =>
        {
            var weights = new float[columns];
            for (int row = panel * PanelRows; row < Math.Min(rows, (panel + 1) * PanelRows); row++)
            {
                readRow(row, weights);
                byte* destination = Panel(panel) + row % PanelRows * TWeights.Size;
                for (int column = 0; column < columns; column++) TWeights.Store(destination + (long)column * PanelRows * TWeights.Size, weights[column]);
            }
        });
    }

    public override ActivationFormat Format => ActivationFormat.Single;

    public override void ReadRow(int row, Span<float> weights)
    {
        byte* source = Panel(row / PanelRows) + row % PanelRows * TWeights.Size;
        for (int column = 0; column < Columns; column++) weights[column] = TWeights.Read(source + (long)column * PanelRows * TWeights.Size);
    }

    public override void Multiply(ActivationRows input, float* output, int outputStride, int firstPanel, int endPanel)
    {
        int rowBytes = PanelRows * TWeights.Size;
        for (int panel = firstPanel; panel < endPanel; panel++)
        {
            byte* weights = Panel(panel);
            float* x = input.Values, y = output + panel * PanelRows;
            int left = input.Count;
            for (; left >= 4; left -= 4, x += 4L * input.Stride, y += 4L * outputStride)
            {
                FloatTile<TWeights, TSimd>.Multiply(weights, rowBytes, x, input.Stride, Columns, y, outputStride);
                FloatTile<TWeights, TSimd>.Multiply(weights + rowBytes / 2, rowBytes, x, input.Stride, Columns, y + 2 * GroupRows, outputStride);
            }
            for (; left > 0; left--, x += input.Stride, y += outputStride) MultiplyOne(weights, x, Columns, y);
        }
    }

    /// <summary>Four groups of eight rows with one activation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyOne(byte* w, float* x, int columns, float* y)
    {
        Vector256<float> sum0 = Vector256<float>.Zero, sum1 = sum0, sum2 = sum0, sum3 = sum0;
        int group = GroupRows * TWeights.Size;
        for (int k = 0; k < columns; k++, w += 4 * group)
        {
            TSimd.Prefetch(w + PrefetchBytes);
            Vector256<float> a = Vector256.Create(x[k]);
            sum0 = Vector256.FusedMultiplyAdd(TWeights.Load<TSimd>(w), a, sum0);
            sum1 = Vector256.FusedMultiplyAdd(TWeights.Load<TSimd>(w + group), a, sum1);
            sum2 = Vector256.FusedMultiplyAdd(TWeights.Load<TSimd>(w + 2 * group), a, sum2);
            sum3 = Vector256.FusedMultiplyAdd(TWeights.Load<TSimd>(w + 3 * group), a, sum3);
        }
        sum0.Store(y);
        sum1.Store(y + GroupRows);
        sum2.Store(y + 2 * GroupRows);
        sum3.Store(y + 3 * GroupRows);
    }
}
