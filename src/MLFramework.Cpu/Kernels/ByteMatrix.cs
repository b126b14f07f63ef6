using System.Buffers;
using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// 8-bit weights with a half as scale per 32. A block of a panel holds the weights of its 32 rows, one vector of rows after the other as
/// [pair of columns][row][2], then their 32 scales: 1088 bytes, as many as in the file.
/// </summary>
internal sealed unsafe class ByteMatrix<TSimd, TFloats, TInts, TShorts> : PackedMatrix
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    private const int BlockLength = Padding.Unit, CodeBytes = PanelRows * BlockLength, BlockBytes = CodeBytes + PanelRows * sizeof(ushort);

    /// <summary>Tiles from which on a panel's weights are widened once instead of by each: with fewer, reading and writing them again costs what it saves.</summary>
    private const int LeastTilesToWiden = 12;

    /// <summary>Of each panel what its products are multiplied with (see <see cref="ScaleLift"/>).</summary>
    private readonly float[] _factors;

    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns, a multiple of 32.</param>
    /// <param name="readRow">Writes a row; called from several threads.</param>
    public ByteMatrix(int rows, int columns, CodeRowReader readRow)
        : base(rows, columns, (long)(columns / BlockLength) * BlockBytes)
    {
        _factors = new float[PanelCount];
        PackWith(panel =>
        {
            // Rented: so many panels would leave the collector more than all else that loading does.
            sbyte[] rentedCodes = ArrayPool<sbyte>.Shared.Rent(columns);
            Half[] rentedScales = ArrayPool<Half>.Shared.Rent(columns / BlockLength);
            Span<sbyte> codes = rentedCodes.AsSpan(0, columns);
            Span<Half> scales = rentedScales.AsSpan(0, columns / BlockLength);
            for (int lane = 0; lane < PanelRows && panel * PanelRows + lane < rows; lane++)
            {
                readRow(panel * PanelRows + lane, codes, scales);
                for (int block = 0; block < scales.Length; block++)
                {
                    byte* target = Panel(panel) + (long)block * BlockBytes, pairs = target + lane / TSimd.Lanes * GroupBytes + lane % TSimd.Lanes * 2;
                    for (int i = 0; i < BlockLength; i++) pairs[i / 2 * 2 * TSimd.Lanes + i % 2] = (byte)codes[block * BlockLength + i];
                    ((Half*)(target + CodeBytes))[lane] = scales[block];
                }
            }
            _factors[panel] = ScaleLift.Raise(Panel(panel) + CodeBytes, PanelRows, BlockBytes, scales.Length);
            ArrayPool<sbyte>.Shared.Return(rentedCodes);
            ArrayPool<Half>.Shared.Return(rentedScales);
        });
    }

    public override ActivationFormat Format => ActivationFormat.Int16;

    protected override int Steps => Columns / BlockLength;

    protected override int MostTokens => 6;

    public override int ScratchLength => PanelRows * Columns;

    /// <summary>Bytes of a vector of rows in a block.</summary>
    private static int GroupBytes => BlockLength * TSimd.Lanes;

    public override void ReadRow(int row, Span<float> weights)
    {
        int lane = row % PanelRows;
        for (int block = 0; block < Columns / BlockLength; block++)
        {
            byte* source = Panel(row / PanelRows) + (long)block * BlockBytes, pairs = source + lane / TSimd.Lanes * GroupBytes + lane % TSimd.Lanes * 2;
            float scale = (float)((Half*)(source + CodeBytes))[lane] * _factors[row / PanelRows];
            Span<float> ofBlock = weights.Slice(block * BlockLength, BlockLength);
            for (int i = 0; i < BlockLength; i += 2, pairs += 2 * TSimd.Lanes) (ofBlock[i], ofBlock[i + 1]) = ((sbyte)pairs[0] * scale, (sbyte)pairs[1] * scale);
        }
    }

    protected override void MultiplyTiles(int panel, in ActivationRows input, TileRun run, float* output, int outputStride, in PanelWalk walk, short* scratch)
    {
        byte* scales = Panel(panel) + CodeBytes;
        if (walk.Tiles < LeastTilesToWiden)
        {
            TileLoop.Run(new Product<StoredBytes>(Panel(panel), BlockBytes, scales, _factors[panel], Columns / BlockLength, input, output, outputStride), run, walk);
            return;
        }
        if (run.First == 0) Widen(panel, scratch);
        TileLoop.Run(new Product<WidenedBytes>((byte*)scratch, CodeBytes * sizeof(short), scales, _factors[panel], Columns / BlockLength, input, output, outputStride), run, walk);
    }

    /// <summary>Writes a panel's weights as 16-bit integers, in the same order.</summary>
    private void Widen(int panel, short* widened)
    {
        sbyte* codes = (sbyte*)Panel(panel);
        for (int block = 0; block < Columns / BlockLength; block++, codes += BlockBytes, widened += CodeBytes)
            for (int i = 0; i < CodeBytes; i += 2 * TSimd.Lanes) TSimd.Store(TSimd.Widen(codes + i), widened + i);
    }

    private readonly struct Product<TWeights>(byte* weights, long blockBytes, byte* scales, float factor, int blocks, ActivationRows input, float* output, int outputStride) : ITiledProduct
        where TWeights : struct, IByteWeights
    {
        public static int Lanes => TSimd.Lanes;

        public static bool HasFourByTwo => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Multiply<TGroups, TTokens>(int row, int first, Lookahead ahead)
            where TGroups : struct, ITileSize
            where TTokens : struct, ITileSize =>
            ByteTile<TWeights, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>.Multiply(
                weights + row * BlockLength * TWeights.Size, GroupBytes * TWeights.Size, (ushort*)scales + row, blockBytes, BlockBytes, input.Codes + (long)first * input.Stride, input.Stride,
                input.Scales + (long)first * (input.Stride / BlockLength), blocks, factor, output + (long)first * outputStride + row, outputStride, ahead.Address, ahead.Step);
    }
}
