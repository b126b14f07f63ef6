namespace MLFramework.Cpu;

/// <summary>Size of one block of a tensor type.</summary>
/// <param name="Length">Elements per block; 1 for plain floats.</param>
/// <param name="Bytes">Bytes per block.</param>
public readonly record struct BlockLayout(int Length, int Bytes)
{
    /// <summary>Bits per element, scales included.</summary>
    public double BitsPerElement => 8.0 * Bytes / Length;
}

/// <summary>Facts about <see cref="TensorType"/>.</summary>
public static class TensorTypes
{
    /// <summary>The types that this engine reads.</summary>
    public static IReadOnlyList<TensorType> All { get; } = Enum.GetValues<TensorType>();

    /// <summary>Whether a number from a file is one of <see cref="All"/>.</summary>
    public static bool IsKnown(uint number) => number <= int.MaxValue && Enum.IsDefined((TensorType)number);

    /// <summary>The block of a type.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not one of <see cref="All"/>.</exception>
    public static BlockLayout Layout(this TensorType type) => type switch
    {
        TensorType.F32 => new(1, 4),
        TensorType.F16 or TensorType.BF16 => new(1, 2),
        TensorType.Q4_0 => new(32, 2 + 16),
        TensorType.Q4_1 => new(32, 2 + 2 + 16),
        TensorType.Q5_0 => new(32, 2 + 4 + 16),
        TensorType.Q5_1 => new(32, 2 + 2 + 4 + 16),
        TensorType.Q8_0 => new(32, 2 + 32),
        TensorType.Q4_K => new(256, 2 + 2 + 12 + 128),
        TensorType.Q5_K => new(256, 2 + 2 + 12 + 32 + 128),
        TensorType.Q6_K => new(256, 128 + 64 + 16 + 2),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown tensor type."),
    };

    /// <summary>Bytes of a row.</summary>
    /// <param name="type">The type.</param>
    /// <param name="elements">Elements of the row, a multiple of the block length.</param>
    /// <exception cref="ArgumentException">Not a multiple of the block length, or negative.</exception>
    public static long RowBytes(this TensorType type, long elements)
    {
        BlockLayout block = type.Layout();
        if (elements < 0 || elements % block.Length != 0) throw new ArgumentException($"{elements} elements are no whole blocks of {type}.", nameof(elements));
        return elements / block.Length * block.Bytes;
    }
}
