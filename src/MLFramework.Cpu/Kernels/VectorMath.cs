using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>Functions over vectors, in a fixed order of operations: the same bits on every machine.</summary>
internal static class VectorMath
{
    /// <summary>Halves read as floats with a shifted exponent are too small by this factor.</summary>
    public const float HalfScale = 5.192296858534828e33f; // 2^112

    /// <summary>The bits of such a float that stem from the half.</summary>
    public const int HalfMask = unchecked((int)0x8FFFE000);

    private const float LargestHalf = 65504;

    /// <summary>e to the x for x ≤ 88, within 2 units in the last place; 0 from −87.3 down.</summary>
    /// <remarks>2^n times the Taylor polynomial of degree 7 on |r| ≤ ln 2 / 2; ln 2 is split in two so that r is exact (Cody and Waite, 1980).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x)
    {
        Vector256<float> n = Round(x * Vector256.Create(Log2E)), r = Remainder(x, n);
        Vector256<float> p = Vector256.FusedMultiplyAdd(ExpMinusOneOver(r), r, Vector256<float>.One);
        Vector256<float> scaled = (p.AsInt32() + (ToInt32(n) << 23)).AsSingle();
        return Vector256.ConditionalSelect(Vector256.LessThan(x, Vector256.Create(-87.3f)), Vector256<float>.Zero, scaled);
    }

    /// <summary>x / (1 + e^−x): the sigmoid linear unit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Silu(Vector256<float> x) =>
        // Beyond 87 the sigmoid of −x is no normal number any more, and x times it as good as zero.
        x / (Vector256<float>.One + Exp(Vector256.Min(-x, Vector256.Create(87f))));

    /// <summary>The hyperbolic tangent, within 4 units in the last place.</summary>
    /// <remarks>(e^2x − 1) / (e^2x + 1), where e^2x − 1 = 2^n (e^r − 1) + (2^n − 1) cancels nothing near zero.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Tanh(Vector256<float> x)
    {
        // From 10 on the nearest float is 1. Not Min: what is no number must stay none.
        Vector256<float> magnitude = Vector256.Abs(x);
        Vector256<float> y = Vector256.ConditionalSelect(Vector256.GreaterThan(magnitude, Vector256.Create(10f)), Vector256.Create(20f), magnitude + magnitude);
        Vector256<float> n = Round(y * Vector256.Create(Log2E)), r = Remainder(y, n), power = ((ToInt32(n) << 23) + Vector256<float>.One.AsInt32()).AsSingle();
        Vector256<float> e = Vector256.FusedMultiplyAdd(ExpMinusOneOver(r) * r, power, power - Vector256<float>.One);
        return (e / (e + Vector256.Create(2f))) | (x & Vector256.Create(-0f));
    }

    /// <summary>x × (1 + tanh u) / 2 for u = √(2/π) (x + 0.044715 x³): the Gaussian error linear unit in its tanh form (Hendrycks and Gimpel, 2016).</summary>
    /// <remarks>The same as x / (1 + e^−2u), which keeps its precision where tanh is near −1.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Gelu(Vector256<float> x)
    {
        Vector256<float> cubed = Vector256.FusedMultiplyAdd(x * x, Vector256.Create(0.044715f), Vector256<float>.One) * x;
        Vector256<float> exponent = cubed * Vector256.Create(-1.5957691216f); // −2 √(2/π)
        return x / (Vector256<float>.One + Exp(Vector256.Min(exponent, Vector256.Create(87f))));
    }

    /// <summary>Rounds to the nearest integer, ties to even, for |x| &lt; 2^22.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Round(Vector256<float> x) => x + Vector256.Create(RoundingShift) - Vector256.Create(RoundingShift);

    /// <summary>Rounds to the nearest integer, ties to even, for |x| &lt; 2^22.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> ToInt32(Vector256<float> x) => (x + Vector256.Create(RoundingShift)).AsInt32() - Vector256.Create(RoundingShift).AsInt32();

    /// <summary>Sum of the elements as a tree of halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector256<float> x)
    {
        Vector128<float> four = x.GetLower() + x.GetUpper();
        Vector128<float> two = four + Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1));
        return two.GetElement(0) + two.GetElement(1);
    }

    /// <summary>The largest element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(Vector256<float> x)
    {
        Vector128<float> four = Vector128.Max(x.GetLower(), x.GetUpper());
        Vector128<float> two = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(two.GetElement(0), two.GetElement(1));
    }

    /// <summary>IEEE halves as floats, for finite halves.</summary>
    /// <param name="bits">The 16 bits of each, sign-extended.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> FromHalf(Vector256<int> bits) =>
        ((bits << 13) & Vector256.Create(HalfMask)).AsSingle() * Vector256.Create(HalfScale);

    /// <inheritdoc cref="FromHalf(Vector256{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FromHalf(Vector512<int> bits) =>
        ((bits << 13) & Vector512.Create(HalfMask)).AsSingle() * Vector512.Create(HalfScale);

    /// <inheritdoc cref="FromHalf(Vector256{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> FromHalf(Vector128<int> bits) =>
        ((bits << 13) & Vector128.Create(HalfMask)).AsSingle() * Vector128.Create(HalfScale);

    /// <summary>Floats as IEEE halves, rounded to nearest even; what is too large becomes the largest half. NaN becomes some number.</summary>
    /// <returns>The 16 bits of each.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> ToHalf(Vector256<float> x)
    {
        Vector256<int> sign = (x.AsInt32() >>> 16) & Vector256.Create(0x8000);
        Vector256<int> magnitude = (Vector256.Min(Vector256.Abs(x), Vector256.Create(LargestHalf)) * Vector256.Create(1 / HalfScale)).AsInt32();
        magnitude += Vector256.Create(0xFFF) + ((magnitude >>> 13) & Vector256<int>.One);
        return ((magnitude >>> 13) & Vector256.Create(0x7FFF)) | sign;
    }

    /// <summary>x − n ln 2, nearly exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Remainder(Vector256<float> x, Vector256<float> n) =>
        Vector256.FusedMultiplyAdd(n, Vector256.Create(2.12194440e-4f), Vector256.FusedMultiplyAdd(n, Vector256.Create(-0.693359375f), x));

    /// <summary>(e^r − 1) / r for |r| ≤ ln 2 / 2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> ExpMinusOneOver(Vector256<float> r)
    {
        Vector256<float> p = Vector256.Create(1f / 5040);
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1f / 720));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1f / 120));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1f / 24));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1f / 6));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(0.5f));
        return Vector256.FusedMultiplyAdd(p, r, Vector256<float>.One);
    }

    private const float Log2E = 1.44269504f;

    private const float RoundingShift = 12582912; // 1.5 × 2^23: adding it leaves no bits for a fraction.
}
