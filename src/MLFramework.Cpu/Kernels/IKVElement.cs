using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>How eight keys or values are stored.</summary>
internal unsafe interface IKVElement : IStoredFloat
{
    /// <summary>Stores eight elements side by side.</summary>
    static abstract void Store(byte* destination, Vector256<float> values);

    /// <summary>Stores eight elements a distance apart.</summary>
    /// <param name="destination">The first.</param>
    /// <param name="stride">Elements from one to the next.</param>
    /// <param name="values">The elements.</param>
    static abstract void Scatter(byte* destination, int stride, Vector256<float> values);
}

/// <summary><see cref="KVElementType.F32"/>.</summary>
internal readonly unsafe struct SingleKV : IKVElement
{
    public static int Size => sizeof(float);

    public static Vector256<float> Load<TSimd>(byte* source) where TSimd : struct, ISimd => Vector256.Load((float*)source);

    public static void Store(byte* destination, Vector256<float> values) => values.Store((float*)destination);

    public static void Scatter(byte* destination, int stride, Vector256<float> values)
    {
        for (int i = 0; i < Vector256<float>.Count; i++) ((float*)destination)[i * stride] = values[i];
    }
}

/// <summary><see cref="KVElementType.F16"/>.</summary>
internal readonly unsafe struct HalfKV : IKVElement
{
    public static int Size => sizeof(ushort);

    public static Vector256<float> Load<TSimd>(byte* source) where TSimd : struct, ISimd => VectorMath.FromHalf(TSimd.Widen((short*)source));

    public static void Store(byte* destination, Vector256<float> values)
    {
        Vector256<ushort> halves = Vector256.Narrow(VectorMath.ToHalf(values).AsUInt32(), Vector256<uint>.Zero);
        halves.GetLower().Store((ushort*)destination);
    }

    public static void Scatter(byte* destination, int stride, Vector256<float> values)
    {
        Vector256<int> halves = VectorMath.ToHalf(values);
        for (int i = 0; i < Vector256<int>.Count; i++) ((ushort*)destination)[i * stride] = (ushort)halves[i];
    }
}
