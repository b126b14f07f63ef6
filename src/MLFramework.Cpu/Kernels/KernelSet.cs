namespace MLFramework.Cpu;

/// <summary>The kernels of one instruction set. All sets give the same bits.</summary>
internal abstract class KernelSet
{
    /// <summary>AVX2 with fused multiply-add.</summary>
    public static KernelSet Avx2 { get; } = new KernelSet<Avx2Simd>("AVX2");

    /// <summary>128-bit vectors of any machine.</summary>
    public static KernelSet Portable { get; } = new KernelSet<PortableSimd>("portable");

    /// <summary>The fastest that this machine has.</summary>
    public static KernelSet Best => Avx2Simd.IsSupported ? Avx2 : Portable;

    /// <summary>Those that this machine has.</summary>
    public static KernelSet[] Supported => Avx2Simd.IsSupported ? [Avx2, Portable] : [Portable];

    public abstract PackedMatrix PackSingles(int rows, int columns, WeightRowReader readRow);

    public abstract PackedMatrix PackHalves(int rows, int columns, WeightRowReader readRow);

    public abstract PackedMatrix PackBrains(int rows, int columns, WeightRowReader readRow);

    public abstract PackedMatrix PackBytes(int rows, int columns, CodeRowReader readRow);

    public abstract PackedMatrix PackNibbles(int rows, int columns, CodeRowReader readRow);

    public abstract PagedAttention CreateAttention(AttentionShape shape, KVElementType type, int blocks);
}

/// <inheritdoc/>
internal sealed class KernelSet<TSimd>(string name) : KernelSet where TSimd : struct, ISimd
{
    public override PackedMatrix PackSingles(int rows, int columns, WeightRowReader readRow) => new FloatMatrix<SingleWeights, TSimd>(rows, columns, readRow);

    public override PackedMatrix PackHalves(int rows, int columns, WeightRowReader readRow) => new FloatMatrix<HalfWeights, TSimd>(rows, columns, readRow);

    public override PackedMatrix PackBrains(int rows, int columns, WeightRowReader readRow) => new FloatMatrix<BrainWeights, TSimd>(rows, columns, readRow);

    public override PackedMatrix PackBytes(int rows, int columns, CodeRowReader readRow) => new IntegerMatrix<ByteWeights, TSimd>(rows, columns, readRow);

    public override PackedMatrix PackNibbles(int rows, int columns, CodeRowReader readRow) => new IntegerMatrix<NibbleWeights, TSimd>(rows, columns, readRow);

    public override PagedAttention CreateAttention(AttentionShape shape, KVElementType type, int blocks) => type switch
    {
        KVElementType.F16 => new PagedAttention<HalfKV, TSimd>(shape, blocks),
        KVElementType.F32 => new PagedAttention<SingleKV, TSimd>(shape, blocks),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown type of keys and values."),
    };

    public override string ToString() => name;
}
