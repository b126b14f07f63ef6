namespace MLFramework.Cpu;

/// <summary>
/// A stored type of 4, 5 or 6 bits, as <see cref="NarrowMatrix{TBlocks, TSimd, TFloats, TInts, TShorts}"/> packs it: super-blocks of one or more blocks of
/// 32 weights. A weight is <c>scale × code + minimum</c>, or <c>scale × (code − offset)</c>. The kernel is compiled once per type.
/// </summary>
internal interface INarrowBlocks
{
    /// <summary>The type in files; a super-block is one of its blocks.</summary>
    static abstract TensorType Type { get; }

    /// <summary>Bits of a code beyond four: 0, 1 or 2.</summary>
    static abstract int HighBits { get; }

    /// <summary>
    /// What the kernel subtracts from codes: 0, 8, 16 or 32. With minima it is not part of the type; codes of 5 bits need it so that their sums fit 16 bits,
    /// and the kernel makes up for it in the minima.
    /// </summary>
    static abstract int Offset { get; }

    /// <summary>Whether there is a minimum for each scale.</summary>
    static abstract bool HasMinima { get; }

    /// <summary>Blocks under one half as scale (and one as minimum).</summary>
    static abstract int BlocksPerSuper { get; }

    /// <summary>Scales per block: 2 are for 16 weights each.</summary>
    static abstract int Parts { get; }

    /// <summary>Takes a super-block of a row apart.</summary>
    /// <param name="stored">The bytes of the file.</param>
    /// <param name="codes">Takes the codes in the order of their columns.</param>
    /// <param name="factors">With several blocks takes two bytes of each: the factors of its two scales, or of its scale and its minimum.</param>
    /// <returns>Scale and minimum of the super-block.</returns>
    static abstract (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors);
}
