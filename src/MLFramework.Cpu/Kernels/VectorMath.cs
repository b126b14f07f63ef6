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

    /// <summary>1.5 × 2^23: adding it leaves no bits for a fraction, and the lowest bits hold the integer.</summary>
    public const float RoundingShift = 12582912;

    private const float LargestHalf = 65504, Log2E = 1.44269504f;

    /// <summary>e to the x for x ≤ 88, within 2 units in the last place; 0 from −87.3 down.</summary>
    /// <remarks>2^n times the Taylor polynomial of degree 7 on |r| ≤ ln 2 / 2.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TFloats Exp<TSimd, TFloats, TInts, TShorts>(TFloats x)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        (TFloats exponent, TFloats r) = Reduce<TSimd, TFloats, TInts, TShorts>(x);
        TFloats p = TSimd.MultiplyAdd(ExpMinusOneOver<TSimd, TFloats, TInts, TShorts>(r), r, TSimd.Create(1));
        return TSimd.ZeroIfLess(x, TSimd.Create(-87.3f), TSimd.ScaleByPower(p, exponent));
    }

    /// <inheritdoc cref="Exp{TSimd, TFloats, TInts, TShorts}"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x) => Vectors256.IsSupported
        ? Exp<Vectors256, Vector256<float>, Vector256<int>, Vector256<short>>(x)
        : Vector256.Create(Exp<Vectors128, Vector128<float>, Vector128<int>, Vector128<short>>(x.GetLower()), Exp<Vectors128, Vector128<float>, Vector128<int>, Vector128<short>>(x.GetUpper()));

    /// <summary>x / (1 + e^−x): the sigmoid linear unit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TFloats Silu<TSimd, TFloats, TInts, TShorts>(TFloats x)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        // Beyond 87 the sigmoid of −x is no normal number any more, and x times it as good as zero.
        TSimd.Divide(x, TSimd.Add(TSimd.Create(1), Exp<TSimd, TFloats, TInts, TShorts>(TSimd.Smaller(TSimd.Subtract(default, x), TSimd.Create(87)))));

    /// <summary>x × (1 + tanh u) / 2 for u = √(2/π) (x + 0.044715 x³): the Gaussian error linear unit in its tanh form (Hendrycks and Gimpel, 2016).</summary>
    /// <remarks>The same as x / (1 + e^−2u), which keeps its precision where tanh is near −1.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TFloats Gelu<TSimd, TFloats, TInts, TShorts>(TFloats x)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        TFloats cubed = TSimd.Multiply(TSimd.MultiplyAdd(TSimd.Multiply(x, x), TSimd.Create(0.044715f), TSimd.Create(1)), x);
        TFloats exponent = TSimd.Multiply(cubed, TSimd.Create(-1.5957691216f)); // −2 √(2/π)
        return TSimd.Divide(x, TSimd.Add(TSimd.Create(1), Exp<TSimd, TFloats, TInts, TShorts>(TSimd.Smaller(exponent, TSimd.Create(87)))));
    }

    /// <summary>The hyperbolic tangent, within 4 units in the last place.</summary>
    /// <remarks>(e^2x − 1) / (e^2x + 1), where e^2x − 1 = 2^n (e^r − 1) + (2^n − 1) cancels nothing near zero.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TFloats Tanh<TSimd, TFloats, TInts, TShorts>(TFloats x)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        // From 10 on the nearest float is 1. In this order what is no number stays none.
        TFloats magnitude = TSimd.Magnitudes(x), one = TSimd.Create(1);
        (TFloats exponent, TFloats r) = Reduce<TSimd, TFloats, TInts, TShorts>(TSimd.Smaller(TSimd.Create(20), TSimd.Add(magnitude, magnitude)));
        TFloats power = TSimd.ScaleByPower(one, exponent), e = TSimd.MultiplyAdd(TSimd.Multiply(ExpMinusOneOver<TSimd, TFloats, TInts, TShorts>(r), r), power, TSimd.Subtract(power, one));
        return TSimd.CopySign(TSimd.Divide(e, TSimd.Add(e, TSimd.Create(2))), x);
    }

    /// <summary>Rounds to the nearest integer, ties to even, for |x| &lt; 2^22.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> ToInt32(Vector256<float> x) => (x + Vector256.Create(RoundingShift)).AsInt32() - Vector256.Create(RoundingShift).AsInt32();

    /// <inheritdoc cref="ToInt32(Vector256{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> ToInt32(Vector128<float> x) => (x + Vector128.Create(RoundingShift)).AsInt32() - Vector128.Create(RoundingShift).AsInt32();

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

    /// <summary>x = n ln 2 + r for an integer n, which the lowest bits of the exponent hold, and |r| ≤ ln 2 / 2; ln 2 is split in two so that r is exact (Cody and Waite, 1980).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (TFloats Exponent, TFloats R) Reduce<TSimd, TFloats, TInts, TShorts>(TFloats x)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        TFloats shift = TSimd.Create(RoundingShift), exponent = TSimd.MultiplyAdd(x, TSimd.Create(Log2E), shift), n = TSimd.Subtract(exponent, shift);
        return (exponent, TSimd.MultiplyAdd(n, TSimd.Create(2.12194440e-4f), TSimd.MultiplyAdd(n, TSimd.Create(-0.693359375f), x)));
    }

    /// <summary>(e^r − 1) / r for |r| ≤ ln 2 / 2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats ExpMinusOneOver<TSimd, TFloats, TInts, TShorts>(TFloats r)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        TFloats p = TSimd.Create(1f / 5040);
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 720));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 120));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 24));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 6));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.5f));
        return TSimd.MultiplyAdd(p, r, TSimd.Create(1));
    }
}
