using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>The kernels of one instruction set. All sets give the same bits.</summary>
internal abstract class KernelSet
{
    /// <summary>AVX2 with fused multiply-add.</summary>
    public static KernelSet Avx2 { get; } = new KernelSet<Vectors256, Vector256<float>, Vector256<int>, Vector256<short>>("AVX2");

    /// <summary>AVX-512.</summary>
    public static KernelSet Avx512 { get; } = new KernelSet<Vectors512, Vector512<float>, Vector512<int>, Vector512<short>>("AVX-512");

    /// <summary>128-bit vectors of any machine.</summary>
    public static KernelSet Portable { get; } = new KernelSet<Vectors128, Vector128<float>, Vector128<int>, Vector128<short>>("portable");

    /// <summary>The fastest that this machine has.</summary>
    public static KernelSet Best => Supported[0];

    /// <summary>Those that this machine has, the fastest first.</summary>
    public static KernelSet[] Supported => !Vectors256.IsSupported ? [Portable] : Vectors512.IsSupported ? [Avx512, Avx2, Portable] : [Avx2, Portable];

    /// <summary>What is done to rows of activations.</summary>
    public abstract RowKernels Rows { get; }

    public abstract PackedMatrix PackSingles(int rows, int columns, WeightRowReader readRow);

    public abstract PackedMatrix PackHalves(int rows, int columns, WeightRowReader readRow);

    public abstract PackedMatrix PackBrains(int rows, int columns, WeightRowReader readRow);

    public abstract PackedMatrix PackBytes(int rows, int columns, CodeRowReader readRow);

    /// <summary>Packs weights of 4, 5 or 6 bits as they are stored.</summary>
    public abstract PackedMatrix PackNarrow(TensorType type, int rows, int columns, StoredRowReader readRow);

    /// <summary>Creates a cache of keys and values.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="type">How they are stored.</param>
    /// <param name="blocks">Blocks of the cache.</param>
    /// <param name="grid">Where sums over positions are cut; null for the grid that all executors share.</param>
    public abstract PagedAttention CreateAttention(AttentionShape shape, KVElementType type, int blocks, ReductionGrid? grid = null);
}

/// <inheritdoc/>
internal sealed class KernelSet<TSimd, TFloats, TInts, TShorts>(string name) : KernelSet
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    public override RowKernels Rows { get; } = new RowKernels<TSimd, TFloats, TInts, TShorts>();

    public override PackedMatrix PackSingles(int rows, int columns, WeightRowReader readRow) => new FloatMatrix<SingleWeights, TSimd, TFloats, TInts, TShorts>(rows, columns, readRow);

    public override PackedMatrix PackHalves(int rows, int columns, WeightRowReader readRow) => new FloatMatrix<HalfWeights, TSimd, TFloats, TInts, TShorts>(rows, columns, readRow);

    public override PackedMatrix PackBrains(int rows, int columns, WeightRowReader readRow) => new FloatMatrix<BrainWeights, TSimd, TFloats, TInts, TShorts>(rows, columns, readRow);

    public override PackedMatrix PackBytes(int rows, int columns, CodeRowReader readRow) => new ByteMatrix<TSimd, TFloats, TInts, TShorts>(rows, columns, readRow);

    public override PackedMatrix PackNarrow(TensorType type, int rows, int columns, StoredRowReader readRow) => type switch
    {
        TensorType.Q4_0 => Narrow<Q4_0Blocks>(rows, columns, readRow),
        TensorType.Q4_1 => Narrow<Q4_1Blocks>(rows, columns, readRow),
        TensorType.Q5_0 => Narrow<Q5_0Blocks>(rows, columns, readRow),
        TensorType.Q5_1 => Narrow<Q5_1Blocks>(rows, columns, readRow),
        TensorType.Q4_K => Narrow<Q4_KBlocks>(rows, columns, readRow),
        TensorType.Q5_K => Narrow<Q5_KBlocks>(rows, columns, readRow),
        TensorType.Q6_K => Narrow<Q6_KBlocks>(rows, columns, readRow),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a type of 4, 5 or 6 bits."),
    };

    public override PagedAttention CreateAttention(AttentionShape shape, KVElementType type, int blocks, ReductionGrid? grid) => type switch
    {
        KVElementType.F16 => new TiledAttention<HalfKV, TSimd, TFloats, TInts, TShorts>(shape, blocks, grid ?? ReductionGrid.Default),
        KVElementType.F32 => new TiledAttention<SingleKV, TSimd, TFloats, TInts, TShorts>(shape, blocks, grid ?? ReductionGrid.Default),
        KVElementType.Q8_0 => new TiledAttention<ScaledByteKV, TSimd, TFloats, TInts, TShorts>(shape, blocks, grid ?? ReductionGrid.Default),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown type of keys and values."),
    };

    public override string ToString() => name;

    private static NarrowMatrix<TBlocks, TSimd, TFloats, TInts, TShorts> Narrow<TBlocks>(int rows, int columns, StoredRowReader readRow) where TBlocks : struct, INarrowBlocks =>
        new(rows, columns, readRow);
}
