using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>
/// <see cref="KVElementType.Q8_0"/>: an element is a signed byte times the scale of its group. Keys stand in groups of columns, each followed by the scales
/// of its 16 positions; values in columns, all followed by the scales as [group][position].
/// </summary>
internal readonly unsafe struct ScaledByteKV : IKVElement
{
    /// <summary>Elements of a position that share a scale; the last group of a head may be shorter.</summary>
    public const int GroupLength = 32;

    private const int ScaleBytes = PagedAttention.BlockLength * sizeof(float);

    public static int LaneBytes => 1;

    public static float QueryFactor => 1;

    public static float ScoreFactor => 1;

    public static float WeightFactor => 1;

    public static bool HasScales => true;

    /// <summary>Bytes from a group of keys to the next.</summary>
    public static int KeyGroupBytes => GroupLength * PagedAttention.BlockLength + ScaleBytes;

    public static int PanelBytes(int length) => PagedAttention.BlockLength * length + (length + GroupLength - 1) / GroupLength * ScaleBytes;

    public static int PairBytes(int lanes) => 2 * lanes;

    /// <summary>The scales of a group of keys, one per position of the block.</summary>
    /// <param name="group">Where the group begins.</param>
    /// <param name="columns">Its elements.</param>
    public static float* KeyScales(byte* group, int columns) => (float*)(group + PagedAttention.PaddedLength(columns) * PagedAttention.BlockLength);

    /// <summary>The scales of a group of values, one per position of the block.</summary>
    /// <param name="panel">The panel.</param>
    /// <param name="group">The group.</param>
    /// <param name="length">Elements of a head, a multiple of 16.</param>
    public static float* ValueScales(byte* panel, int group, int length) => (float*)(panel + PagedAttention.BlockLength * length + group * ScaleBytes);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreKey(byte* panel, int position, float* key, int length)
    {
        sbyte* codes = stackalloc sbyte[GroupLength];
        for (int start = 0; start < length; start += GroupLength, panel += KeyGroupBytes)
        {
            int count = Math.Min(GroupLength, length - start);
            float scale = Quantize(key + start, count, codes);
            for (int i = 0; i < count; i++) panel[i * PagedAttention.BlockLength + position] = (byte)codes[i];
            KeyScales(panel, count)[position] = scale;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreValue(byte* panel, int position, float* value, int length)
    {
        int padded = PagedAttention.PaddedLength(length);
        for (int start = 0; start < length; start += GroupLength)
            ValueScales(panel, start / GroupLength, padded)[position] = Quantize(value + start, Math.Min(GroupLength, length - start), (sbyte*)panel + position * padded + start);
    }

    public static TFloats LoadFirst<TSimd, TFloats, TInts, TShorts>(byte* pair)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadBytes((sbyte*)pair);

    public static TFloats LoadSecond<TSimd, TFloats, TInts, TShorts>(byte* pair, int lanes)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadBytes((sbyte*)pair + lanes);

    /// <summary>Makes the largest magnitude ±127 and rounds to nearest even.</summary>
    /// <returns>The scale; no number if an element is none, so that scores and results are none either.</returns>
    private static float Quantize(float* x, int count, sbyte* codes)
    {
        const float Largest = sbyte.MaxValue;
        Vector256<float> most = Vector256<float>.Zero;
        for (int i = 0; i < count; i += Vector256<float>.Count) most = Vector256.Max(most, Vector256.Abs(Vector256.Load(x + i)));
        float largest = VectorMath.Max(most), scale = largest / Largest;
        // A scale that is no normal number has no finite inverse; values that small are as good as zero.
        bool isZero = scale < 1.1754944e-38f;
        Vector256<float> inverse = Vector256.Create(isZero ? 0 : Largest / largest);
        for (int i = 0; i < count; i += Vector256<float>.Count)
        {
            Vector256<int> integers = VectorMath.ToInt32(Vector256.Load(x + i) * inverse);
            for (int j = 0; j < Vector256<int>.Count; j++) codes[i + j] = (sbyte)integers[j];
        }
        return isZero ? 0 : scale;
    }
}
