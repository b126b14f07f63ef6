using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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
            if (Vectors512.IsSupported) QuantizeWide(x, inverse, inverseStep, blocks);
            else QuantizeBlock(x, inverse, inverseStep, blocks);
            blocks->RowScale = rowScale;
        }
    }

    /// <summary>Quantizes a block, all but <see cref="ActivationBlock.RowScale"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void QuantizeBlock(float* x, float inverse, float inverseStep, ActivationBlock* block)
    {
        Vector256<float> a = Vector256.Load(x), b = Vector256.Load(x + 8), c = Vector256.Load(x + 16), d = Vector256.Load(x + 24);
        // The smallest scales with which no code is too large, of the even half in the lower lanes and of the odd in the upper; 1 for zeros.
        Vector256<float> largest = LargestOfEach(Vector256.Max(Magnitudes(a), Magnitudes(c)), Vector256.Max(Magnitudes(b), Magnitudes(d))).AsSingle();
        Vector256<float> scales = Vector256.MinNative(Vector256.Ceiling(largest * Vector256.Create(inverseStep)), Vector256.Create((float)ActivationBlock.LargestScale));
        Vector256<float> inverses = Vector256.Create(inverse) / Vector256.MaxNative(scales, Vector256<float>.One);
        Vector256<float> even = Vector256.Create(inverses.GetLower(), inverses.GetLower()), odd = Vector256.Create(inverses.GetUpper(), inverses.GetUpper());
        Vector256<int> ca = VectorMath.ToInt32(a * even), cb = VectorMath.ToInt32(b * odd) << 16, cc = VectorMath.ToInt32(c * even), cd = VectorMath.ToInt32(d * odd) << 16;
        Vector256.Narrow(Quads(ca, cb), Quads(cc, cd)).Store((uint*)block->Codes);

        // Sums as pairs in one integer: that of the odd half times 2^16, plus that of the even half.
        Vector256<int> sums = SumOfEach(ca + cb, cc + cd);
        Vector128<int> starts = (sums.GetLower() & Vector128.Create(-1, -1, -1, 0)) + (sums.GetUpper() & Vector128.Create(-1, -1, 0, -1));
        int both = starts.ToScalar();
        starts *= Vector128.Create(-8, -16, -32, -32);
        // An even sum less than zero takes one from the odd.
        (starts + ((starts & Vector128.Create(0x8000)) << 1)).Store(&block->MinusEight);
        Vector256<int> factors = VectorMath.ToInt32(scales);
        (int evenScale, int oddScale) = (factors.GetLower().ToScalar(), factors.GetUpper().ToScalar());
        block->Scales = evenScale | oddScale << 16;
        block->Sum = evenScale * (short)both + oddScale * (both - (short)both >> 16);
    }

    /// <summary>As <see cref="QuantizeBlock"/>, with the same result, by AVX-512.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void QuantizeWide(float* x, float inverse, float inverseStep, ActivationBlock* block)
    {
        // The even half's first and last eight elements stand in the lower lanes of these two, the odd half's in the upper.
        Vector512<float> a = Vector512.Load(x), b = Vector512.Load(x + 16);
        var largest = Vector512.Max(Vector512.Abs(a).AsInt32(), Vector512.Abs(b).AsInt32());
        largest = Vector512.Max(largest, Avx512F.Shuffle4x128(largest, largest, 0b10_11_00_01));
        largest = Vector512.Max(largest, Avx512F.Shuffle(largest, 0b01_00_11_10));
        largest = Vector512.Max(largest, Avx512F.Shuffle(largest, 0b10_11_00_01));
        Vector512<float> scales = Vector512.MinNative(Vector512.Ceiling(largest.AsSingle() * Vector512.Create(inverseStep)), Vector512.Create((float)ActivationBlock.LargestScale));
        Vector512<float> inverses = Vector512.Create(inverse) / Vector512.MaxNative(scales, Vector512<float>.One);
        Vector128<sbyte> first = Avx512F.ConvertToVector128SByte(Avx512F.ConvertToVector512Int32(a * inverses)), last = Avx512F.ConvertToVector128SByte(Avx512F.ConvertToVector512Int32(b * inverses));
        var order = Vector128.Create((sbyte)0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
        Vector256<sbyte> codes = Avx2.Shuffle(Vector256.Create(first, last), Vector256.Create(order, order));
        codes.Store(block->Codes);

        // Pairs of 16 bits: a sum of the even half, a sum of the odd half.
        Vector256<short> sums = Avx2.MultiplyAddAdjacent(Vector256.Create((byte)1), codes);
        sums += Avx2.Shuffle(sums.AsInt32(), 0b01_00_11_10).AsInt16();
        sums += Avx2.Shuffle(sums.AsInt32(), 0b10_11_00_01).AsInt16();
        Vector128<short> lower = sums.GetLower(), upper = sums.GetUpper(), both = lower + upper;
        Vector128<short> starts = Sse2.UnpackLow(both.AsInt64(), Sse2.UnpackLow(lower.AsInt32(), upper.AsInt32()).AsInt64()).AsInt16();
        (starts * Vector128.Create(-8, -8, -16, -16, -32, -32, -32, -32)).Store((short*)&block->MinusEight);
        Vector512<int> factors = Avx512F.ConvertToVector512Int32(scales);
        Vector128<int> factorOfEach = Sse2.UnpackLow(factors.GetLower().GetLower(), factors.GetUpper().GetLower());
        var pair = Sse2.PackSignedSaturate(factorOfEach, factorOfEach);
        block->Scales = pair.AsInt32().ToScalar();
        block->Sum = Vector128.ConvertToSingle(Sse2.MultiplyAddAdjacent(pair, both)).ToScalar();
    }

    private static float LargestMagnitude(float* x, int length)
    {
        if (Vectors512.IsSupported) return LargestMagnitude<Vectors512, Vector512<float>, Vector512<int>, Vector512<short>>(x, length);
        return Vectors256.IsSupported
            ? LargestMagnitude<Vectors256, Vector256<float>, Vector256<int>, Vector256<short>>(x, length)
            : LargestMagnitude<Vectors128, Vector128<float>, Vector128<int>, Vector128<short>>(x, length);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float LargestMagnitude<TSimd, TFloats, TInts, TShorts>(float* x, int length)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        TFloats even = default, odd = default;
        for (int i = 0; i < length; i += 2 * TSimd.Lanes)
        {
            even = TSimd.LargerMagnitude(even, TSimd.Magnitudes(TSimd.Load(x + i)));
            odd = TSimd.LargerMagnitude(odd, TSimd.Magnitudes(TSimd.Load(x + i + TSimd.Lanes)));
        }
        return TSimd.LargestMagnitude(TSimd.LargerMagnitude(even, odd));
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
