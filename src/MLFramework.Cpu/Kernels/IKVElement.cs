namespace MLFramework.Cpu;

/// <summary>
/// How keys and values are stored. A panel holds one head of a block: for keys a column per element with a lane per position, for values a column per
/// position with a lane per element. Columns are stored and read in pairs.
/// </summary>
internal unsafe interface IKVElement
{
    /// <summary>Bytes from a lane to the next within a column or a pair of columns.</summary>
    static abstract int LaneBytes { get; }

    /// <summary>What queries are multiplied by, and scores then by its counterpart, to make up for the exponent that stored elements are read with.</summary>
    static abstract float QueryFactor { get; }

    /// <inheritdoc cref="QueryFactor"/>
    static abstract float ScoreFactor { get; }

    /// <summary>What weights of values are multiplied by, to make up for the exponent that stored elements are read with.</summary>
    static abstract float WeightFactor { get; }

    /// <summary>Whether elements are integers with a scale per position and <see cref="ScaledByteKV.GroupLength"/> elements.</summary>
    static abstract bool HasScales { get; }

    /// <summary>Bytes of a panel.</summary>
    /// <param name="length">Elements of a head, a multiple of 16.</param>
    static abstract int PanelBytes(int length);

    /// <summary>Bytes of a pair of columns.</summary>
    /// <param name="lanes">Lanes of a column.</param>
    static abstract int PairBytes(int lanes);

    /// <summary>Stores the key of a position.</summary>
    /// <param name="panel">The panel.</param>
    /// <param name="position">The position in the block.</param>
    /// <param name="key">The elements.</param>
    /// <param name="length">How many, a multiple of 8.</param>
    static abstract void StoreKey(byte* panel, int position, float* key, int length);

    /// <summary>Stores the value of a position.</summary>
    /// <param name="panel">The panel.</param>
    /// <param name="position">The position in the block.</param>
    /// <param name="value">The elements.</param>
    /// <param name="length">How many, a multiple of 8.</param>
    static abstract void StoreValue(byte* panel, int position, float* value, int length);

    /// <summary>Reads a vector of the first column of a pair.</summary>
    /// <param name="pair">The first lane.</param>
    static abstract TFloats LoadFirst<TSimd, TFloats, TInts, TShorts>(byte* pair)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct;

    /// <summary>Reads a vector of the second column of a pair.</summary>
    /// <param name="pair">The first lane.</param>
    /// <param name="lanes">Lanes of a column.</param>
    static abstract TFloats LoadSecond<TSimd, TFloats, TInts, TShorts>(byte* pair, int lanes)
        where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
        where TFloats : struct
        where TInts : struct
        where TShorts : struct;
}
