namespace MLFramework.Cpu;

/// <summary>How a float weight is stored in a <see cref="FloatMatrix{TWeights, TSimd, TFloats, TInts, TShorts}"/>.</summary>
internal unsafe interface IFloatWeights
{
    /// <summary>Bytes of a weight.</summary>
    static abstract int Size { get; }

    /// <summary>Writes a weight.</summary>
    static abstract void Store(byte* destination, float value);

    /// <summary>Reads a weight.</summary>
    static abstract float Read(byte* source);

    /// <summary>Reads a vector of weights.</summary>
    static abstract TFloats Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct;
}

/// <summary>32-bit floats.</summary>
internal readonly unsafe struct SingleWeights : IFloatWeights
{
    public static int Size => sizeof(float);

    public static void Store(byte* destination, float value) => *(float*)destination = value;

    public static float Read(byte* source) => *(float*)source;

    public static TFloats Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.Load((float*)source);
}

/// <summary>IEEE halves. Made from halves, so that storing rounds nothing.</summary>
internal readonly unsafe struct HalfWeights : IFloatWeights
{
    public static int Size => sizeof(ushort);

    public static void Store(byte* destination, float value) => *(Half*)destination = (Half)value;

    public static float Read(byte* source) => (float)*(Half*)source;

    public static TFloats Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadHalves((ushort*)source);
}

/// <summary>Brain floats. Made from brain floats, so that storing rounds nothing.</summary>
internal readonly unsafe struct BrainWeights : IFloatWeights
{
    public static int Size => sizeof(ushort);

    public static void Store(byte* destination, float value) => *(ushort*)destination = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);

    public static float Read(byte* source) => BitConverter.UInt32BitsToSingle((uint)*(ushort*)source << 16);

    public static TFloats Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadBrains((ushort*)source);
}
