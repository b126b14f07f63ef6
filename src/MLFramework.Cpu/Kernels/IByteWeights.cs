namespace MLFramework.Cpu;

/// <summary>How a <see cref="ByteTile{TWeights, TSimd, TFloats, TInts, TShorts, TGroups, TTokens}"/> finds its weights.</summary>
internal unsafe interface IByteWeights
{
    /// <summary>Bytes of a weight.</summary>
    static abstract int Size { get; }

    /// <summary>Reads a pair of columns of a vector of rows as 16-bit integers.</summary>
    static abstract TShorts Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct;
}

/// <summary>As they are stored: for few tiles, which wait for memory anyway.</summary>
internal readonly unsafe struct StoredBytes : IByteWeights
{
    public static int Size => sizeof(sbyte);

    public static TShorts Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.Widen((sbyte*)source);
}

/// <summary>Widened to 16 bits once for all tiles of a panel.</summary>
internal readonly unsafe struct WidenedBytes : IByteWeights
{
    public static int Size => sizeof(short);

    public static TShorts Load<TSimd, TFloats, TInts, TShorts>(byte* source)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct =>
        TSimd.LoadBits(source);
}
