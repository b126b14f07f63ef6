using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>
/// <see cref="KVElementType.F16"/>: two columns side by side in each lane, so that a vector of 32-bit lanes holds both and a shift or two make floats of
/// either. Their exponents stay too small by 112: queries and weights make up for it.
/// </summary>
[SkipLocalsInit]
internal readonly unsafe struct HalfKV : IKVElement
{
    public static int LaneBytes => 2 * sizeof(ushort);

    /// <summary>2^64; the rest is left to the scores, or large queries would overflow.</summary>
    public static float QueryFactor => 18446744073709551616f;

    /// <summary>2^48.</summary>
    public static float ScoreFactor => 281474976710656f;

    /// <summary>2^112.</summary>
    public static float WeightFactor => VectorMath.HalfScale;

    public static bool HasScales => false;

    public static int PanelBytes(int length) => PagedAttention.BlockLength * length * sizeof(ushort);

    public static int PairBytes(int lanes) => 2 * lanes * sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreKey(byte* panel, int position, float* key, int length)
    {
        ushort* halves = stackalloc ushort[Vector256<float>.Count];
        for (int i = 0; i < length; i += Vector256<float>.Count)
        {
            ToHalves(key + i, halves);
            uint* pairs = (uint*)halves, destination = (uint*)(panel + i / 2 * PairBytes(PagedAttention.BlockLength)) + position;
            for (int pair = 0; pair < Vector256<float>.Count / 2; pair++) destination[pair * PagedAttention.BlockLength] = pairs[pair];
        }
    }

    /// <summary>Halves are written one by one: their neighbours belong to another position, which another thread may write.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreValue(byte* panel, int position, float* value, int length)
    {
        ushort* halves = stackalloc ushort[Vector256<float>.Count];
        ushort* destination = (ushort*)(panel + position / 2 * PairBytes(PagedAttention.PaddedLength(length))) + position % 2;
        for (int i = 0; i < length; i += Vector256<float>.Count)
        {
            ToHalves(value + i, halves);
            for (int j = 0; j < Vector256<float>.Count; j++) destination[2 * (i + j)] = halves[j];
        }
    }

    public static TFloats LoadFirst<TSimd, TFloats, TInts, TShorts>(byte* pair)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadLowHalves((int*)pair);

    public static TFloats LoadSecond<TSimd, TFloats, TInts, TShorts>(byte* pair, int lanes)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadHighHalves((int*)pair);

    private static void ToHalves(float* source, ushort* halves) =>
        Vector256.Narrow(VectorMath.ToHalf(Vector256.Load(source)).AsUInt32(), Vector256<uint>.Zero).GetLower().Store(halves);
}
