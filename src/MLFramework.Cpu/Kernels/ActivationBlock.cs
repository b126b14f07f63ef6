using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>
/// 32 activations as 8-bit integers, with all that kernels of <see cref="NarrowMatrix{TBlocks, TSimd, TFloats, TInts, TShorts}"/> need of them: one cache
/// line. An element is <c>RowScale × scale × code</c>, with one integer scale for columns 0–7 and 16–23, the even half, and another for 8–15 and 24–31,
/// the odd half.
/// </summary>
/// <remarks>
/// A scale per 16 elements is free: where a lane's two 16-bit sums, one of each half, become one 32-bit integer, they must be multiplied with something
/// anyway. Codes are in the order in which kernels read them: eight quads, of which quad q holds columns 2q and 2q + 1 of the first 8 and of the second 8,
/// or of the third and fourth for q from 4.
/// </remarks>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct ActivationBlock
{
    /// <summary>Elements of a block.</summary>
    public const int Length = Padding.Unit;

    /// <summary>Codes are −127 to 127: of as many products of a code with a weight less than ±32, 16 bits hold the sum.</summary>
    public const int LargestCode = 127;

    /// <summary>With the largest scale 32 bits hold the sum of two 16-bit sums.</summary>
    public const int LargestScale = short.MaxValue;

    /// <summary>Where <see cref="MinusThirtyTwo"/> stands in a block of integers.</summary>
    public const int MinusThirtyTwoIndex = 11;

    /// <summary>Eight quads.</summary>
    public fixed sbyte Codes[Length];

    /// <summary>A pair of 16-bit integers: the scale of the even half, then of the odd half.</summary>
    public int Scales;

    /// <summary>A pair: −8 times the sum of the codes of each half.</summary>
    public int MinusEight;

    /// <summary>A pair: −16 times the sum of the codes of each half.</summary>
    public int MinusSixteen;

    /// <summary>Two pairs, for columns 0–15 and 16–31: −32 times the sum of the codes of each half.</summary>
    public fixed int MinusThirtyTwo[2];

    /// <summary>The sum of the elements, without <see cref="RowScale"/>.</summary>
    public float Sum;

    /// <summary>The same in all blocks of a row. Not finite if an element of the row is not.</summary>
    public float RowScale;
}
