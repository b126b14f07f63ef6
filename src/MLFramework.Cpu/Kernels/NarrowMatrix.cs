using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>Weights of 4, 5 or 6 bits, packed as <see cref="NarrowLayout{TBlocks}"/> says: with as many bytes as in the file, or three percent more.</summary>
internal sealed unsafe class NarrowMatrix<TBlocks, TSimd, TFloats, TInts, TShorts> : PackedMatrix
    where TBlocks : struct, INarrowBlocks
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    private const int BlockLength = ActivationBlock.Length;

    /// <summary>Of each panel what its products are multiplied with (see <see cref="ScaleLift"/>).</summary>
    private readonly float[] _factors;

    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns, a multiple of the type's block length.</param>
    /// <param name="readRow">Reads a row; called from several threads.</param>
    public NarrowMatrix(int rows, int columns, StoredRowReader readRow)
        : base(rows, columns, (long)(columns / SuperLength) * NarrowLayout<TBlocks>.SuperBytes)
    {
        _factors = new float[PanelCount];
        PackWith(panel =>
        {
            Span<byte> codes = stackalloc byte[SuperLength], factors = stackalloc byte[2 * TBlocks.BlocksPerSuper];
            for (int lane = 0; lane < PanelRows && panel * PanelRows + lane < rows; lane++)
            {
                ReadOnlySpan<byte> stored = readRow(panel * PanelRows + lane);
                byte* super = Panel(panel);
                for (int storedBytes = TBlocks.Type.Layout().Bytes; !stored.IsEmpty; stored = stored[storedBytes..], super += NarrowLayout<TBlocks>.SuperBytes)
                {
                    (Half scale, Half minimum) = TBlocks.Unpack(stored[..storedBytes], codes, factors);
                    ((Half*)super)[lane] = scale;
                    if (TBlocks.HasMinima) ((Half*)super)[PanelRows + lane] = minimum;
                    Pack(super + NarrowLayout<TBlocks>.HeaderBytes, lane, codes, factors);
                }
            }
            _factors[panel] = ScaleLift.Raise(Panel(panel), NarrowLayout<TBlocks>.HeaderBytes / sizeof(ushort), NarrowLayout<TBlocks>.SuperBytes, columns / SuperLength);
        });
    }

    public override ActivationFormat Format => ActivationFormat.Int8;

    protected override int Steps => Columns / BlockLength;

    protected override int MostTokens => TSimd.Registers > 16 ? LargestTile : 6;

    private static int SuperLength => BlockLength * TBlocks.BlocksPerSuper;

    public override void ReadRow(int row, Span<float> weights)
    {
        int lane = row % PanelRows;
        float factor = _factors[row / PanelRows];
        byte* super = Panel(row / PanelRows);
        for (; !weights.IsEmpty; weights = weights[SuperLength..], super += NarrowLayout<TBlocks>.SuperBytes)
        {
            float scale = (float)((Half*)super)[lane] * factor, minimum = TBlocks.HasMinima ? (float)((Half*)super)[PanelRows + lane] * factor : 0;
            byte* block = super + NarrowLayout<TBlocks>.HeaderBytes;
            for (int first = 0; first < SuperLength; first += BlockLength, block += NarrowLayout<TBlocks>.BlockBytes)
            {
                sbyte* factors = (sbyte*)block + NarrowLayout<TBlocks>.BlockCodeBytes + lane;
                float offset = TBlocks.BlocksPerSuper == 1 ? minimum : minimum * factors[PanelRows];
                for (int column = 0; column < BlockLength; column++)
                {
                    float step = TBlocks.BlocksPerSuper == 1 ? scale : scale * factors[TBlocks.Parts == 1 ? 0 : column / 16 * PanelRows];
                    int code = ReadCode(block, lane, column);
                    weights[first + column] = TBlocks.HasMinima ? step * code + offset : step * (code - TBlocks.Offset);
                }
            }
        }
    }

    protected override void MultiplyTiles(int panel, in ActivationRows input, TileRun run, float* output, int outputStride, in PanelWalk walk, short* scratch) =>
        TileLoop.Run(new Product(Panel(panel), Columns / SuperLength, _factors[panel], input, output, outputStride), run, walk);

    /// <summary>Puts a row's codes and factors into a super-block.</summary>
    private static void Pack(byte* target, int lane, ReadOnlySpan<byte> codes, ReadOnlySpan<byte> factors)
    {
        for (; !codes.IsEmpty; target += NarrowLayout<TBlocks>.BlockBytes, codes = codes[BlockLength..], factors = factors[2..])
        {
            (Vector128<byte> even, Vector128<byte> odd) = NarrowLayout<TBlocks>.Quads(codes);
            Vector128<uint> nibbles = (even & Vector128.Create((byte)15) | (odd & Vector128.Create((byte)15)) << 4).AsUInt32();
            Vector128<uint> high = ((even >>> 4 << 4) | odd >>> 4).AsUInt32();
            uint* quad = Quad(target + lane / TSimd.Lanes * TSimd.Lanes * NarrowLayout<TBlocks>.CodeBytes, 0, lane);
            if (TBlocks.HighBits > 0)
            {
                uint first = high.GetElement(0) | high.GetElement(1) << TBlocks.HighBits, second = high.GetElement(2) | high.GetElement(3) << TBlocks.HighBits;
                *quad = TBlocks.Parts == 1 ? first | second << 2 * TBlocks.HighBits : first;
                if (TBlocks.Parts == 2) quad[3 * TSimd.Lanes] = second;
                quad += TSimd.Lanes;
            }
            quad[0] = nibbles.GetElement(0);
            quad[TSimd.Lanes] = nibbles.GetElement(1);
            if (TBlocks.Parts == 2) quad += TSimd.Lanes;
            quad[2 * TSimd.Lanes] = nibbles.GetElement(2);
            quad[3 * TSimd.Lanes] = nibbles.GetElement(3);
            if (TBlocks.BlocksPerSuper > 1)
            {
                byte* planes = target + NarrowLayout<TBlocks>.BlockCodeBytes;
                (planes[lane], planes[PanelRows + lane]) = (factors[0], factors[1]);
            }
        }
    }

    private static int ReadCode(byte* block, int lane, int column)
    {
        (int quad, int index) = NarrowLayout<TBlocks>.Position(column);
        int part = quad / 2 / NarrowLayout<TBlocks>.StepsPerPart, step = quad / 2 % NarrowLayout<TBlocks>.StepsPerPart;
        byte* group = block + lane / TSimd.Lanes * TSimd.Lanes * NarrowLayout<TBlocks>.CodeBytes;
        int code = ((byte*)Quad(group, (part + 1) * NarrowLayout<TBlocks>.VectorsPerPart - NarrowLayout<TBlocks>.StepsPerPart + step, lane))[index] >> quad % 2 * 4 & 15;
        if (TBlocks.HighBits == 0) return code;

        int high = ((byte*)Quad(group, part * NarrowLayout<TBlocks>.VectorsPerPart, lane))[index] >> step * TBlocks.HighBits + 4 - quad % 2 * 4;
        return code | (high & (1 << TBlocks.HighBits) - 1) << 4;
    }

    /// <summary>A row's quad in one of the vectors of its group.</summary>
    private static uint* Quad(byte* group, int vector, int lane) => (uint*)group + vector * TSimd.Lanes + lane % TSimd.Lanes;

    private readonly struct Product(byte* weights, int supers, float factor, ActivationRows input, float* output, int outputStride) : ITiledProduct
    {
        public static int Lanes => TSimd.Lanes;

        public static bool HasFourByTwo => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Multiply<TGroups, TTokens>(int row, int first, Lookahead ahead)
            where TGroups : struct, ITileSize
            where TTokens : struct, ITileSize =>
            NarrowTile<TBlocks, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>.Multiply(
                weights, row, supers, factor, input.Blocks + (long)first * (input.Stride / BlockLength), input.Stride / BlockLength, output + (long)first * outputStride + row, outputStride, ahead.Address, ahead.Step);
    }
}
