using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>
/// The parts of softmax that go over a row of scores, which are logarithms to base 2. Rows are taken as 16 lanes, each in the order of the positions, and
/// the lanes are then joined in one fixed tree: the same bits for every width of vectors.
/// </summary>
[SkipLocalsInit]
internal static unsafe class Softmax
{
    private const int Lanes = 16;

    /// <summary>The largest score, leaving out what is no number.</summary>
    /// <param name="scores">The row.</param>
    /// <param name="start">The first index, a multiple of 16.</param>
    /// <param name="end">One past the last index, a multiple of 16.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Largest<TSimd, TFloats, TInts, TShorts>(float* scores, int start, int end)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        float* lanes = stackalloc float[Lanes];
        for (int lane = 0; lane < Lanes; lane += TSimd.Lanes)
        {
            TFloats largest = TSimd.Create(float.NegativeInfinity);
            for (int i = start + lane; i < end; i += Lanes) largest = TSimd.Larger(TSimd.Load(scores + i), largest);
            TSimd.Store(largest, lanes + lane);
        }
        return VectorMath.Max(Vector256.Max(Vector256.Load(lanes), Vector256.Load(lanes + Lanes / 2)));
    }

    /// <summary>Replaces scores by 2 to their distance from the largest.</summary>
    /// <param name="scores">The row; takes the weights times <paramref name="weightFactor"/>.</param>
    /// <param name="start">The first index, a multiple of 16.</param>
    /// <param name="end">One past the last index, a multiple of 16.</param>
    /// <param name="factor">What scores are multiplied by first, a power of two.</param>
    /// <param name="largest">The largest score.</param>
    /// <param name="weightFactor">A power of two.</param>
    /// <returns>The sum of the weights.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Exponentiate<TSimd, TFloats, TInts, TShorts>(float* scores, int start, int end, float factor, float largest, float weightFactor)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        float* lanes = stackalloc float[Lanes];
        TFloats scale = TSimd.Create(factor), shift = TSimd.Create(-largest), weightScale = TSimd.Create(weightFactor);
        for (int lane = 0; lane < Lanes; lane += TSimd.Lanes)
        {
            TFloats sum = default;
            for (int i = start + lane; i < end; i += Lanes)
            {
                TFloats weight = Exp2<TSimd, TFloats, TInts, TShorts>(TSimd.MultiplyAdd(TSimd.Load(scores + i), scale, shift));
                TSimd.Store(TSimd.Multiply(weight, weightScale), scores + i);
                sum = TSimd.Add(sum, weight);
            }
            TSimd.Store(sum, lanes + lane);
        }
        return VectorMath.Sum(Vector256.Load(lanes) + Vector256.Load(lanes + Lanes / 2));
    }

    /// <summary>2 to the x for x ≤ 127, within 2 units in the last place; exactly 1 for 0, and 0 from −125 down.</summary>
    /// <remarks>2^n times a polynomial that is nearest to 2^r, relatively, on |r| ≤ 1/2 (Remez, 1934).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TFloats Exp2<TSimd, TFloats, TInts, TShorts>(TFloats x)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct
    {
        TFloats shift = TSimd.Create(VectorMath.RoundingShift), shifted = TSimd.Add(x, shift), r = TSimd.Subtract(x, TSimd.Subtract(shifted, shift));
        TFloats p = TSimd.Create(0.0001559467701510541f);
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.0013406643847480061f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.009617692976143188f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.05550310551206981f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.24022652782876178f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.693147214967885f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f));
        return TSimd.ZeroIfLess(x, TSimd.Create(-125f), TSimd.ScaleByPower(p, shifted));
    }
}
