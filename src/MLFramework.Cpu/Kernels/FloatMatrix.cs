using System.Buffers;
using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>Float weights with float activations. A panel holds its 32 rows of column 0, then of column 1, and so on.</summary>
internal sealed unsafe class FloatMatrix<TWeights, TSimd, TFloats, TInts, TShorts> : PackedMatrix
    where TWeights : struct, IFloatWeights
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    private static readonly int ColumnBytes = PanelRows * TWeights.Size;

    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns.</param>
    /// <param name="readRow">Writes a row's weights; called from several threads.</param>
    public FloatMatrix(int rows, int columns, WeightRowReader readRow)
        : base(rows, columns, (long)columns * PanelRows * TWeights.Size)
    {
        PackWith(panel =>
        {
            // Rented: so many panels would leave the collector more than all else that loading does.
            float[] rented = ArrayPool<float>.Shared.Rent(columns);
            Span<float> weights = rented.AsSpan(0, columns);
            for (int row = panel * PanelRows; row < Math.Min(rows, (panel + 1) * PanelRows); row++)
            {
                readRow(row, weights);
                byte* destination = Panel(panel) + row % PanelRows * TWeights.Size;
                for (int column = 0; column < columns; column++) TWeights.Store(destination + (long)column * ColumnBytes, weights[column]);
            }
            ArrayPool<float>.Shared.Return(rented);
        });
    }

    public override ActivationFormat Format => ActivationFormat.Single;

    protected override int Steps => Columns;

    protected override int MostTokens => 6;

    public override void ReadRow(int row, Span<float> weights)
    {
        byte* source = Panel(row / PanelRows) + row % PanelRows * TWeights.Size;
        for (int column = 0; column < Columns; column++) weights[column] = TWeights.Read(source + (long)column * ColumnBytes);
    }

    protected override void MultiplyTiles(int panel, in ActivationRows input, TileRun run, float* output, int outputStride, in PanelWalk walk, short* scratch) =>
        TileLoop.Run(new Product(Panel(panel), Columns, input, output, outputStride), run, walk);

    private readonly struct Product(byte* weights, int columns, ActivationRows input, float* output, int outputStride) : ITiledProduct
    {
        public static int Lanes => TSimd.Lanes;

        public static bool HasFourByTwo => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Multiply<TGroups, TTokens>(int row, int first, Lookahead ahead)
            where TGroups : struct, ITileSize
            where TTokens : struct, ITileSize =>
            FloatWeightTile<TWeights, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>.Multiply(
                weights + row * TWeights.Size, ColumnBytes, input.Values + (long)first * input.Stride, input.Stride, columns, output + (long)first * outputStride + row, outputStride, ahead.Address, ahead.Step);
    }
}
