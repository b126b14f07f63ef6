using System.Runtime.CompilerServices;

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
    public const int Quads = 8;

    /// <summary>Columns of a quad.</summary>
    public const int QuadLength = 4;

    /// <summary>Bytes of the codes of a row in a block.</summary>
    public static int CodeBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Quads / 2 + (TBlocks.HighBits > 0 ? TBlocks.Parts : 0)) * QuadLength;
    }

    /// <summary>Vectors of nibbles per scale.</summary>
    public static int StepsPerPart
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Quads / 2 / TBlocks.Parts;
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

    /// <summary>The column of a block that is byte <paramref name="index"/> of a quad.</summary>
    public static int Column(int quad, int index) => quad / 4 * 16 + index / 2 * 8 + quad % 4 * 2 + index % 2;
}
