namespace MLFramework.Cpu;

/// <summary>Sizes of attention.</summary>
/// <param name="Layers">Layers of the model.</param>
/// <param name="QueryHeads">Heads of queries, a multiple of <paramref name="KVHeads"/>.</param>
/// <param name="KVHeads">Heads of keys and values: each serves as many query heads (Ainslie et al., "GQA", 2023).</param>
/// <param name="HeadLength">Elements of a head, a multiple of 8.</param>
internal readonly record struct AttentionShape(int Layers, int QueryHeads, int KVHeads, int HeadLength)
{
    /// <summary>Query heads per head of keys and values.</summary>
    public int GroupSize => QueryHeads / KVHeads;
}

/// <summary>
/// Keys and values in blocks of 16 positions, and attention over them (Kwon et al., "PagedAttention", 2023). Which block holds what is the scheduler's
/// business. A block keeps a panel of keys and one of values per layer and head.
/// </summary>
/// <remarks>
/// The scratch that attention needs does not grow with the context: softmax is computed online (Milakov and Gimelshein, 2018; Dao et al.,
/// "FlashAttention", 2022). Sums are cut at fixed positions of the sequence (<see cref="ReductionGrid"/>), never at borders of tiles.
/// </remarks>
internal abstract unsafe class PagedAttention : IDisposable
{
    /// <summary>Positions of a block.</summary>
    public const int BlockLength = 16;

    private readonly NativeBuffer<byte> _memory;

    protected PagedAttention(AttentionShape shape, int blocks, int panelBytes)
    {
        (Shape, Blocks, PanelBytes) = (shape, blocks, panelBytes);
        ValuesDistance = PanelBytes * shape.KVHeads;
        BlockBytes = 2 * ValuesDistance * shape.Layers;
        _memory = new NativeBuffer<byte>(blocks * BlockBytes, usesHugePages: true);
    }

    public AttentionShape Shape { get; }

    /// <summary>Blocks of the cache.</summary>
    public int Blocks { get; }

    /// <summary>Most positions that a run of queries has.</summary>
    public abstract int RunLength { get; }

    /// <summary>Positions whose sums are computed apart from the others'; counted from position 0 of a sequence.</summary>
    public abstract int SpanLength { get; }

    /// <summary>Floats of scratch that attention needs.</summary>
    public abstract int ScratchLength { get; }

    /// <summary>Bytes of the panel of one head of keys, or values, in one block.</summary>
    protected long PanelBytes { get; }

    /// <summary>Bytes from a panel of keys to that of the same head's values.</summary>
    protected long ValuesDistance { get; }

    /// <summary>A block's bytes lie together, so that a sequence comes with few pages: for each layer its heads' keys, then its heads' values.</summary>
    protected long BlockBytes { get; }

    /// <summary>Bytes of keys and values per position, over all layers.</summary>
    public static long BytesPerToken(AttentionShape shape, KVElementType type)
    {
        int length = PaddedLength(shape.HeadLength), panelBytes = type switch
        {
            KVElementType.F16 => HalfKV.PanelBytes(length),
            KVElementType.F32 => SingleKV.PanelBytes(length),
            KVElementType.Q8_0 => ScaledByteKV.PanelBytes(length),
            _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown type of keys and values."),
        };
        return 2L * shape.Layers * shape.KVHeads * panelBytes / BlockLength;
    }

    /// <summary>Elements that a head takes in a panel: the next multiple of 16.</summary>
    public static int PaddedLength(int headLength) => (headLength + 15) / 16 * 16;

    /// <summary>Stores the keys and values of one position.</summary>
    /// <param name="layer">Layer.</param>
    /// <param name="block">Block.</param>
    /// <param name="offset">Position in the block.</param>
    /// <param name="keys">All heads of keys.</param>
    /// <param name="values">All heads of values.</param>
    public abstract void Store(int layer, int block, int offset, float* keys, float* values);

    /// <summary>Attends from each of some positions to itself and those before it that it sees, for the query heads of one KV head.</summary>
    /// <param name="layer">Layer.</param>
    /// <param name="kvHead">Head of keys and values.</param>
    /// <param name="rule">How products become weights.</param>
    /// <param name="run">At most <see cref="RunLength"/> positions' queries, and where the results go.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> floats.</param>
    public abstract void Attend(int layer, int kvHead, in AttentionRule rule, in QueryRun run, float* scratch);

    /// <summary>As <see cref="Attend"/>, to the positions of one span only; whoever computes the last span then combines them.</summary>
    /// <param name="layer">Layer.</param>
    /// <param name="kvHead">Head of keys and values.</param>
    /// <param name="rule">How products become weights.</param>
    /// <param name="run">At most <see cref="RunLength"/> positions' queries.</param>
    /// <param name="span">The span's number.</param>
    /// <param name="partial">Takes <see cref="PartialLength"/> floats: the span's sums.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> floats.</param>
    public abstract void AttendSpan(int layer, int kvHead, in AttentionRule rule, in QueryRun run, int span, float* partial, float* scratch);

    /// <summary>Joins the sums of all spans of a run to its results: the same bits as those of <see cref="Attend"/>.</summary>
    /// <param name="partials">The sums of span 0, then those of span 1, and so on. Changed.</param>
    /// <param name="spans">Spans up to the last query's position.</param>
    /// <param name="run">Where the results go.</param>
    public abstract void CombineSpans(float* partials, int spans, in QueryRun run);

    /// <summary>Floats of a span's sums.</summary>
    /// <param name="count">Positions of the run.</param>
    public int PartialLength(int count) => PartialSums.Length(count * Shape.GroupSize, PaddedLength(Shape.HeadLength));

    /// <summary>Copies a block, in all layers.</summary>
    public void CopyBlock(int source, int destination)
    {
        Buffer.MemoryCopy(Keys(0, source, 0), Keys(0, destination, 0), BlockBytes, BlockBytes);
    }

    public void Dispose() => _memory.Dispose();

    protected byte* Keys(int layer, int block, int head) => _memory.Pointer + block * BlockBytes + 2 * ValuesDistance * layer + PanelBytes * head;

    protected byte* Values(int layer, int block, int head) => Keys(layer, block, head) + ValuesDistance;
}
