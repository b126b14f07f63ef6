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
        float inverse = 1 / rowScale;
        for (ActivationBlock* end = blocks + length / ActivationBlock.Length; blocks < end; blocks++, x += ActivationBlock.Length)
        {
            Vector256<float> a = Vector256.Load(x), b = Vector256.Load(x + 8), c = Vector256.Load(x + 16), d = Vector256.Load(x + 24);
            float even = Scale(Largest(Magnitudes(a), Magnitudes(c)), inverse), odd = Scale(Largest(Magnitudes(b), Magnitudes(d)), inverse);
            Vector256<float> evenInverse = Vector256.Create(Inverse(even, inverse)), oddInverse = Vector256.Create(Inverse(odd, inverse));
            Vector256<int> ca = VectorMath.ToInt32(a * evenInverse), cb = VectorMath.ToInt32(b * oddInverse), cc = VectorMath.ToInt32(c * evenInverse), cd = VectorMath.ToInt32(d * oddInverse);
            Quads(ca, cb).Store(blocks->Codes);
            Quads(cc, cd).Store(blocks->Codes + 16);

            int suma = Vector256.Sum(ca), sumb = Vector256.Sum(cb), sumc = Vector256.Sum(cc), sumd = Vector256.Sum(cd);
            blocks->Scales = Pair((int)even, (int)odd);
            blocks->MinusEight = Pair(-8 * (suma + sumc), -8 * (sumb + sumd));
            blocks->MinusSixteen = Pair(-16 * (suma + sumc), -16 * (sumb + sumd));
            blocks->MinusThirtyTwo[0] = Pair(-32 * suma, -32 * sumb);
            blocks->MinusThirtyTwo[1] = Pair(-32 * sumc, -32 * sumd);
            blocks->Sum = (int)even * (suma + sumc) + (int)odd * (sumb + sumd);
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
        return Largest(even, odd);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Magnitudes(Vector256<float> x) => x.AsInt32() & Vector256.Create(int.MaxValue);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Largest(Vector256<int> a, Vector256<int> b)
    {
        Vector256<int> eight = Vector256.Max(a, b);
        Vector128<int> four = Vector128.Max(eight.GetLower(), eight.GetUpper());
        Vector128<int> two = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return BitConverter.Int32BitsToSingle(Vector128.Max(two, Vector128.Shuffle(two, Vector128.Create(1, 0, 3, 2))).ToScalar());
    }

    /// <summary>The smallest integer scale with which no code is too large.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Scale(float largest, float inverse) => MathF.Min(MathF.Ceiling(largest * inverse / ActivationBlock.LargestCode), ActivationBlock.LargestScale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Inverse(float scale, float inverse) => scale == 0 ? 0 : inverse / scale;

    /// <summary>Two eights of codes as four quads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Quads(Vector256<int> even, Vector256<int> odd) =>
        Vector128.Shuffle(Vector128.Narrow(Narrow(even), Narrow(odd)), Vector128.Create(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, (sbyte)15));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<short> Narrow(Vector256<int> values) => Vector128.Narrow(values.GetLower(), values.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Pair(int even, int odd) => (even & 0xFFFF) | odd << 16;
}
