namespace MLFramework.Cpu;

/// <summary><see cref="KVElementType.F32"/>: columns one after the other.</summary>
internal readonly unsafe struct SingleKV : IKVElement
{
    public static int LaneBytes => sizeof(float);

    public static float QueryFactor => 1;

    public static float ScoreFactor => 1;

    public static float WeightFactor => 1;

    public static bool HasScales => false;

    public static int PanelBytes(int length) => PagedAttention.BlockLength * length * sizeof(float);

    public static int PairBytes(int lanes) => 2 * lanes * sizeof(float);

    public static void StoreKey(byte* panel, int position, float* key, int length)
    {
        float* destination = (float*)panel + position;
        for (int i = 0; i < length; i++) destination[i * PagedAttention.BlockLength] = key[i];
    }

    public static void StoreValue(byte* panel, int position, float* value, int length) =>
        new Span<float>(value, length).CopyTo(new Span<float>((float*)panel + position * PagedAttention.PaddedLength(length), length));

    public static TFloats LoadFirst<TSimd, TFloats, TInts, TShorts>(byte* pair)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.Load((float*)pair);

    public static TFloats LoadSecond<TSimd, TFloats, TInts, TShorts>(byte* pair, int lanes)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.Load((float*)pair + lanes);
}
