using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>Turns rows of activations into 8-bit integers.</summary>
internal static unsafe class ActivationQuantizer
{
    private const float SmallestNormal = 1.1754944e-38f;

    /// <summary>Quantizes a row. Each element is off by at most half its scale, which follows the largest of 16 within 1/32767 of the largest of the row.</summary>
    /// <param name="x">The row; with an element that is not finite, its products will not be either.</param>
    /// <param name="blocks">Takes a block per 32 elements.</param>
    /// <param name="length">Elements, a multiple of 32.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Quantize(float* x, ActivationBlock* blocks, int length)
    {
        float step = LargestMagnitude(x, length) / ActivationBlock.LargestCode, rowScale = step / ActivationBlock.LargestScale;
        if (rowScale < SmallestNormal)
        {
            // A scale that is no normal number has no finite inverse; a row that small is as good as zero.
            new Span<ActivationBlock>(blocks, length / ActivationBlock.Length).Clear();
            return;
        }
        float inverse = 1 / rowScale, inverseStep = inverse / ActivationBlock.LargestCode;
        for (ActivationBlock* end = blocks + length / ActivationBlock.Length; blocks < end; blocks++, x += ActivationBlock.Length)
        {
            Vector256<float> a = Vector256.Load(x), b = Vector256.Load(x + 8), c = Vector256.Load(x + 16), d = Vector256.Load(x + 24);
            // The smallest scales with which no code is too large, of the even half in the lower lanes and of the odd in the upper; 1 for zeros.
            Vector256<float> largest = LargestOfEach(Vector256.Max(Magnitudes(a), Magnitudes(c)), Vector256.Max(Magnitudes(b), Magnitudes(d))).AsSingle();
            Vector256<float> scales = Vector256.MinNative(Vector256.Ceiling(largest * Vector256.Create(inverseStep)), Vector256.Create((float)ActivationBlock.LargestScale));
            Vector256<float> inverses = Vector256.Create(inverse) / Vector256.MaxNative(scales, Vector256<float>.One);
            Vector256<float> even = Vector256.Create(inverses.GetLower(), inverses.GetLower()), odd = Vector256.Create(inverses.GetUpper(), inverses.GetUpper());
            Vector256<int> ca = VectorMath.ToInt32(a * even), cb = VectorMath.ToInt32(b * odd) << 16, cc = VectorMath.ToInt32(c * even), cd = VectorMath.ToInt32(d * odd) << 16;
            Vector256.Narrow(Quads(ca, cb), Quads(cc, cd)).Store((uint*)blocks->Codes);

            // Sums as pairs in one integer: that of the odd half times 2^16, plus that of the even half.
            Vector256<int> sums = SumOfEach(ca + cb, cc + cd);
            Vector128<int> starts = (sums.GetLower() & Vector128.Create(-1, -1, -1, 0)) + (sums.GetUpper() & Vector128.Create(-1, -1, 0, -1));
            int both = starts.ToScalar();
            starts *= Vector128.Create(-8, -16, -32, -32);
            // An even sum less than zero takes one from the odd.
            (starts + ((starts & Vector128.Create(0x8000)) << 1)).Store(&blocks->MinusEight);
            Vector256<int> factors = VectorMath.ToInt32(scales);
            (int evenScale, int oddScale) = (factors.GetLower().ToScalar(), factors.GetUpper().ToScalar());
            blocks->Scales = evenScale | oddScale << 16;
            blocks->Sum = evenScale * (short)both + oddScale * (both - (short)both >> 16);
            blocks->RowScale = rowScale;
        }
    }

    /// <summary>The bits of magnitudes are ordered as the numbers are, with infinity and what is no number on top.</summary>
    private static float LargestMagnitude(float* x, int length)
    {
        Vector256<int> even = Vector256<int>.Zero, odd = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 2 * Vector256<float>.Count)
        {
            even = Vector256.Max(even, Magnitudes(Vector256.Load(x + i)));
            odd = Vector256.Max(odd, Magnitudes(Vector256.Load(x + i + Vector256<float>.Count)));
        }
        return BitConverter.Int32BitsToSingle(LargestOfEach(even, Vector256.Max(even, odd)).GetElement(4));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Magnitudes(Vector256<float> x) => x.AsInt32() & Vector256.Create(int.MaxValue);

    /// <summary>The largest element of a in the lower lanes, that of b in the upper.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> LargestOfEach(Vector256<int> a, Vector256<int> b)
    {
        var four = Vector256.Create(Vector128.Max(a.GetLower(), a.GetUpper()), Vector128.Max(b.GetLower(), b.GetUpper()));
        Vector256<int> two = Vector256.Max(four, Vector256.Shuffle(four, Vector256.Create(2, 3, 0, 1, 6, 7, 4, 5)));
        return Vector256.Max(two, Vector256.Shuffle(two, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6)));
    }

    /// <summary>The sum of a in the lower lanes, that of b in the upper.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> SumOfEach(Vector256<int> a, Vector256<int> b)
    {
        var four = Vector256.Create(a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper());
        Vector256<int> two = four + Vector256.Shuffle(four, Vector256.Create(2, 3, 0, 1, 6, 7, 4, 5));
        return two + Vector256.Shuffle(two, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));
    }

    /// <summary>Four quads of eight codes and eight that stand 16 bits higher, each in the lower half of a lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Quads(Vector256<int> even, Vector256<int> odd)
    {
        Vector256<ulong> pairs = ((even & Vector256.Create(0xFF)) | (odd & Vector256.Create(0xFF0000))).AsUInt64();
        return pairs | pairs >>> 24;
    }
}
