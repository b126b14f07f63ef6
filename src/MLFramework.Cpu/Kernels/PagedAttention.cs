using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

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
/// business. A block keeps, per layer and head, its keys as [element][position], so that a vector holds one element of eight positions, and its values
/// as [position][element].
/// </summary>
internal abstract unsafe class PagedAttention : IDisposable
{
    /// <summary>Positions of a block.</summary>
    public const int BlockLength = 16;

    /// <summary>Query heads that are computed together; a group is padded to a multiple with queries of zeros.</summary>
    protected const int HeadsPerTile = 4;

    private readonly NativeBuffer<byte> _keys, _values;

    protected PagedAttention(AttentionShape shape, int blocks, int elementBytes)
    {
        (Shape, Blocks) = (shape, blocks);
        HeadBytes = (long)BlockLength * shape.HeadLength * elementBytes;
        _keys = new NativeBuffer<byte>(shape.Layers * LayerBytes);
        _values = new NativeBuffer<byte>(shape.Layers * LayerBytes);
    }

    public AttentionShape Shape { get; }

    /// <summary>Blocks of the cache.</summary>
    public int Blocks { get; }

    /// <summary>Bytes of one head of keys, or values, in one block.</summary>
    protected long HeadBytes { get; }

    private long LayerBytes => HeadBytes * Shape.KVHeads * Blocks;

    /// <summary>Bytes of keys and values per position, over all layers.</summary>
    public static long BytesPerToken(AttentionShape shape, KVElementType type) =>
        2L * shape.Layers * shape.KVHeads * shape.HeadLength * (type == KVElementType.F16 ? HalfKV.Size : SingleKV.Size);

    /// <summary>Floats of scratch that <see cref="Attend"/> needs.</summary>
    /// <param name="positions">Most positions that it is called for.</param>
    public int ScratchLength(int positions) => HeadsPerTile * (2 * Shape.HeadLength + (positions + BlockLength - 1) / BlockLength * BlockLength);

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
    /// <param name="run">The queries, and where the results go.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> floats.</param>
    public abstract void Attend(int layer, int kvHead, in AttentionRule rule, in QueryRun run, float* scratch);

    /// <summary>Copies a block, in all layers.</summary>
    public void CopyBlock(int source, int destination)
    {
        long bytes = HeadBytes * Shape.KVHeads;
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            Buffer.MemoryCopy(Keys(layer, source, 0), Keys(layer, destination, 0), bytes, bytes);
            Buffer.MemoryCopy(Values(layer, source, 0), Values(layer, destination, 0), bytes, bytes);
        }
    }

    public void Dispose()
    {
        _keys.Dispose();
        _values.Dispose();
    }

    protected byte* Keys(int layer, int block, int head) => _keys.Pointer + Offset(layer, block, head);

    protected byte* Values(int layer, int block, int head) => _values.Pointer + Offset(layer, block, head);

    private long Offset(int layer, int block, int head) => layer * LayerBytes + ((long)block * Shape.KVHeads + head) * HeadBytes;
}

/// <inheritdoc/>
internal sealed unsafe class PagedAttention<TElement, TSimd> : PagedAttention
    where TElement : struct, IKVElement
    where TSimd : struct, ISimd
{
    private const int Lanes = 8;

    /// <param name="shape">Sizes.</param>
    /// <param name="blocks">Blocks of the cache.</param>
    public PagedAttention(AttentionShape shape, int blocks)
        : base(shape, blocks, TElement.Size)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Store(int layer, int block, int offset, float* keys, float* values)
    {
        int length = Shape.HeadLength;
        for (int head = 0; head < Shape.KVHeads; head++, keys += length, values += length)
        {
            byte* key = Keys(layer, block, head) + offset * TElement.Size, value = Values(layer, block, head) + offset * length * TElement.Size;
            for (int i = 0; i < length; i += Lanes)
            {
                TElement.Scatter(key + i * BlockLength * TElement.Size, BlockLength, Vector256.Load(keys + i));
                TElement.Store(value + i * TElement.Size, Vector256.Load(values + i));
            }
        }
    }

    public override void Attend(int layer, int kvHead, in AttentionRule rule, in QueryRun run, float* scratch)
    {
        for (int i = 0; i < run.Count; i++)
            AttendFrom(run.Position + i, layer, kvHead, rule, run.Queries + i * run.QueryStride, run.Blocks, run.Output + i * run.OutputStride, scratch);
    }

    private void AttendFrom(int position, int layer, int kvHead, in AttentionRule rule, float* queries, int* blocks, float* output, float* scratch)
    {
        int firstBlock = rule.FirstSeen(position) / BlockLength, blockCount = position / BlockLength - firstBlock + 1, stride = blockCount * BlockLength;
        int first = rule.FirstSeen(position) - firstBlock * BlockLength, end = position + 1 - firstBlock * BlockLength;
        blocks += firstBlock;
        int length = Shape.HeadLength;
        float* tile = scratch, results = tile + HeadsPerTile * length, scores = results + HeadsPerTile * length;
        float* inverses = stackalloc float[HeadsPerTile];
        for (int firstHead = 0; firstHead < Shape.GroupSize; firstHead += HeadsPerTile)
        {
            int heads = Math.Min(HeadsPerTile, Shape.GroupSize - firstHead);
            ScaleQueries(queries + firstHead * length, heads * length, rule.Scale, tile);
            for (int block = 0; block < blockCount; block++)
                FloatTile<TElement, TSimd>.Multiply(Keys(layer, blocks[block], kvHead), BlockLength * TElement.Size, tile, length, length, scores + block * BlockLength, stride);
            for (int head = 0; head < HeadsPerTile; head++)
            {
                if (rule.SoftCap is { } cap) Cap(scores + head * stride, stride, cap);
                inverses[head] = 1 / Exponentiate(scores + head * stride, first, end, stride);
            }
            for (int i = 0; i < length; i += Lanes) Sum(layer, kvHead, i, blocks, first, end, scores, stride, results + i, length);
            for (int head = 0; head < heads; head++)
            {
                Vector256<float> inverse = Vector256.Create(inverses[head]);
                for (int i = 0; i < length; i += Lanes) (Vector256.Load(results + head * length + i) * inverse).Store(output + (firstHead + head) * length + i);
            }
        }
    }

    /// <summary>Copies queries, scaled, and fills the tile with zeros.</summary>
    private void ScaleQueries(float* queries, int count, float factor, float* tile)
    {
        Vector256<float> scale = Vector256.Create(factor);
        for (int i = 0; i < count; i += Lanes) (Vector256.Load(queries + i) * scale).Store(tile + i);
        for (int i = count; i < HeadsPerTile * Shape.HeadLength; i += Lanes) Vector256<float>.Zero.Store(tile + i);
    }

    /// <summary>Keeps scores softly between −cap and cap.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Cap(float* scores, int count, float cap)
    {
        Vector256<float> bound = Vector256.Create(cap);
        for (int i = 0; i < count; i += Lanes) (VectorMath.Tanh(Vector256.Load(scores + i) / bound) * bound).Store(scores + i);
    }

    /// <summary>Replaces scores by e to their distance from the largest.</summary>
    /// <param name="scores">The scores.</param>
    /// <param name="first">The first that counts; those before become zero.</param>
    /// <param name="end">One past the last that counts; those after become zero, whatever stale blocks held.</param>
    /// <param name="stride">How many there is room for, a multiple of 16.</param>
    /// <returns>The sum.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Exponentiate(float* scores, int first, int end, int stride)
    {
        new Span<float>(scores, first).Fill(float.NegativeInfinity);
        new Span<float>(scores + end, stride - end).Fill(float.NegativeInfinity);
        Vector256<float> largest = Vector256.Create(float.NegativeInfinity);
        for (int i = 0; i < stride; i += Lanes) largest = Vector256.Max(largest, Vector256.Load(scores + i));
        largest = Vector256.Create(VectorMath.Max(largest));
        Vector256<float> sum = Vector256<float>.Zero;
        for (int i = 0; i < stride; i += Lanes)
        {
            Vector256<float> e = VectorMath.Exp(Vector256.Load(scores + i) - largest);
            e.Store(scores + i);
            sum += e;
        }
        return VectorMath.Sum(sum);
    }

    /// <summary>Sums eight elements of the values, weighted, in the order of the positions, for a tile's four heads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Sum(int layer, int kvHead, int element, int* blocks, int first, int end, float* weights, int stride, float* result, int resultStride)
    {
        Vector256<float> a = Vector256<float>.Zero, b = a, c = a, d = a;
        int rowBytes = Shape.HeadLength * TElement.Size;
        for (int start = 0; start < end; start += BlockLength)
        {
            int blockFirst = Math.Max(start, first), blockEnd = Math.Min(start + BlockLength, end);
            byte* values = Values(layer, blocks[start / BlockLength], kvHead) + element * TElement.Size + (blockFirst - start) * rowBytes;
            for (int i = blockFirst; i < blockEnd; i++, values += rowBytes)
            {
                Vector256<float> v = TElement.Load<TSimd>(values);
                a = Vector256.FusedMultiplyAdd(v, Vector256.Create(weights[i]), a);
                b = Vector256.FusedMultiplyAdd(v, Vector256.Create(weights[stride + i]), b);
                c = Vector256.FusedMultiplyAdd(v, Vector256.Create(weights[2 * stride + i]), c);
                d = Vector256.FusedMultiplyAdd(v, Vector256.Create(weights[3 * stride + i]), d);
            }
        }
        a.Store(result);
        b.Store(result + resultStride);
        c.Store(result + 2 * resultStride);
        d.Store(result + 3 * resultStride);
    }
}
