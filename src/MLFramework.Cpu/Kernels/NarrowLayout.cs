using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>
/// Where a panel of a narrow type keeps what. A super-block of 32 rows is: their scales as halves; their minima as halves, if the type has any; the blocks.
/// A block is: its codes, one vector of rows after the other; with several blocks per super-block, two bytes per row in two planes: the factors of both
/// scales, or of scale and minimum.
/// </summary>
/// <remarks>
/// The codes of a vector of rows consist, for each scale of the block, of a vector of high bits, if the type has any, and of vectors of nibbles. A vector has
/// four bytes per row, a quad (see <see cref="ActivationBlock"/>): nibble vector i holds the low four bits of quads 2i and 2i + 1. The high bits of quad 2i
/// stand where they belong in a code, from bit 4 on, after a shift to the right by i times their number; those of 2i + 1 four bits lower.
/// </remarks>
internal static class NarrowLayout<TBlocks> where TBlocks : struct, INarrowBlocks
{
    /// <summary>Quads of a block.</summary>
    public const int QuadCount = 8;

    /// <summary>Columns of a quad.</summary>
    public const int QuadLength = 4;

    /// <summary>Bytes of the codes of a row in a block.</summary>
    public static int CodeBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (QuadCount / 2 + (TBlocks.HighBits > 0 ? TBlocks.Parts : 0)) * QuadLength;
    }

    /// <summary>Vectors of nibbles per scale.</summary>
    public static int StepsPerPart
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => QuadCount / 2 / TBlocks.Parts;
    }

    /// <summary>Vectors per scale.</summary>
    public static int VectorsPerPart
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => StepsPerPart + (TBlocks.HighBits > 0 ? 1 : 0);
    }

    /// <summary>Bytes in front of the blocks.</summary>
    public static int HeaderBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => PackedMatrix.PanelRows * sizeof(ushort) * (TBlocks.HasMinima ? 2 : 1);
    }

    /// <summary>Bytes of the codes of a block.</summary>
    public static int BlockCodeBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => PackedMatrix.PanelRows * CodeBytes;
    }

    /// <summary>Bytes of a block.</summary>
    public static int BlockBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => BlockCodeBytes + (TBlocks.BlocksPerSuper > 1 ? 2 * PackedMatrix.PanelRows : 0);
    }

    /// <summary>Bytes of a super-block.</summary>
    public static int SuperBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => HeaderBytes + TBlocks.BlocksPerSuper * BlockBytes;
    }

    /// <summary>The quad that a column of a block belongs to, and its place in it.</summary>
    public static (int Quad, int Index) Position(int column) => (column / 16 * 4 + column % 8 / 2, column / 8 % 2 * 2 + column % 2);

    /// <summary>Brings the codes of a block into the order of their quads: quads 0, 2, 4 and 6, and quads 1, 3, 5 and 7.</summary>
    public static (Vector128<byte> Even, Vector128<byte> Odd) Quads(ReadOnlySpan<byte> codes)
    {
        Vector128<byte> order = Vector128.Create((byte)0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15);
        Vector128<byte> first = Vector128.Shuffle(Vector128.Create(codes), order), second = Vector128.Shuffle(Vector128.Create(codes[16..]), order);
        return (Vector128.Create(first.GetLower(), second.GetLower()), Vector128.Create(first.GetUpper(), second.GetUpper()));
    }
}
