using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>Sizes of the tiles of attention.</summary>
internal static class TiledAttention
{
    /// <summary>Floats from one row of scores to the next: the longest chunk.</summary>
    public const int RowStride = 128;

    /// <summary>Most rows of a register tile.</summary>
    public const int MostTileRows = 6;

    /// <summary>Rows, pairs of a position and a head, that are computed together where there are so many: scores and sums stay in the first-level cache.</summary>
    public const int RowsPerRun = 24;
}

/// <inheritdoc/>
/// <remarks>
/// A row is a query head at a position. For each chunk of positions all rows' scores are computed, turned into weights and summed with the values, tile
/// by tile of up to six rows, so that whatever is read of the cache serves them all. What a row computes does not depend on the other rows: positions
/// that it does not see get weights of zero, which change no sum.
/// </remarks>
[SkipLocalsInit]
internal sealed unsafe class TiledAttention<TElement, TSimd, TFloats, TInts, TShorts> : PagedAttention
    where TElement : struct, IKVElement
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    private const int Stride = TiledAttention.RowStride, MostBlocks = Stride / BlockLength, LogLanes = 16;

    private readonly int _length, _padded, _mostRows;
    private readonly ReductionGrid _grid;

    /// <param name="shape">Sizes.</param>
    /// <param name="blocks">Blocks of the cache.</param>
    /// <param name="grid">Where sums over positions are cut.</param>
    public TiledAttention(AttentionShape shape, int blocks, ReductionGrid grid)
        : base(shape, blocks, TElement.PanelBytes(PaddedLength(shape.HeadLength)))
    {
        (_length, _padded, _grid) = (shape.HeadLength, PaddedLength(shape.HeadLength), grid);
        RunLength = Math.Max(1, TiledAttention.RowsPerRun / shape.GroupSize);
        _mostRows = (RunLength * shape.GroupSize + LogLanes - 1) / LogLanes * LogLanes;
    }

    public override int RunLength { get; }

    public override int SpanLength => _grid.SpanLength;

    public override int ScratchLength => _mostRows * (_length + 2 * Stride + 1) + 2 * PartialSums.Length(_mostRows, _padded);

    public override void Store(int layer, int block, int offset, float* keys, float* values)
    {
        for (int head = 0; head < Shape.KVHeads; head++, keys += _length, values += _length)
        {
            TElement.StoreKey(Keys(layer, block, head), offset, keys, _length);
            TElement.StoreValue(Values(layer, block, head), offset, values, _length);
        }
    }

    public override void Attend(int layer, int kvHead, in AttentionRule rule, in QueryRun run, float* scratch)
    {
        int rows = run.Count * Shape.GroupSize, first = rule.FirstSeen(run.Position) / SpanLength, end = (run.Position + run.Count + SpanLength - 1) / SpanLength;
        PartialSums total = new(scratch, rows, _padded), sums = new(scratch + PartialSums.Length(rows, _padded), rows, _padded);
        scratch += 2 * PartialSums.Length(_mostRows, _padded);
        AttendSpan(layer, kvHead, rule, run, first, total, scratch);
        for (int span = first + 1; span < end; span++)
        {
            AttendSpan(layer, kvHead, rule, run, span, sums, scratch);
            Merge(total, sums, rows);
        }
        Finish(total, run);
    }

    public override void AttendSpan(int layer, int kvHead, in AttentionRule rule, in QueryRun run, int span, float* partial, float* scratch) =>
        AttendSpan(layer, kvHead, rule, run, span, new PartialSums(partial, run.Count * Shape.GroupSize, _padded), scratch);

    public override void CombineSpans(float* partials, int spans, in QueryRun run)
    {
        int rows = run.Count * Shape.GroupSize;
        var total = new PartialSums(partials, rows, _padded);
        for (int span = 1; span < spans; span++) Merge(total, new PartialSums(partials + (long)span * PartialLength(run.Count), rows, _padded), rows);
        Finish(total, run);
    }

    private void AttendSpan(int layer, int kvHead, in AttentionRule rule, in QueryRun run, int span, PartialSums sums, float* scratch)
    {
        int rows = run.Count * Shape.GroupSize, first = Math.Max(rule.FirstSeen(run.Position), span * SpanLength), end = Math.Min(run.Position + run.Count, (span + 1) * SpanLength);
        float* queries = scratch, scores = queries + _mostRows * _length, scaled = scores + _mostRows * Stride, factors = scaled + _mostRows * Stride;
        ScaleQueries(run, rule, queries);
        sums.Clear();
        byte* ofBlock0 = Keys(layer, 0, kvHead), nextOfBlock0 = Keys(layer, 0, run.NextHead);
        byte** keys = stackalloc byte*[MostBlocks], values = stackalloc byte*[MostBlocks];
        long* ahead = stackalloc long[MostBlocks], nowhere = stackalloc long[MostBlocks];
        new Span<long>(nowhere, MostBlocks).Clear();
        for (int chunk = first / _grid.ChunkLength * _grid.ChunkLength; chunk < end; chunk += _grid.ChunkLength)
        {
            int chunkEnd = Math.Min(end - chunk, _grid.ChunkLength), firstBlock = Math.Max(first - chunk, 0) / BlockLength, blocks = (chunkEnd + BlockLength - 1) / BlockLength;
            int* table = run.Blocks + chunk / BlockLength;
            for (int block = firstBlock; block < blocks; block++)
            {
                keys[block] = ofBlock0 + table[block] * BlockBytes;
                values[block] = keys[block] + ValuesDistance;
                // While the values of a block are read, the keys of the run's next chunk are asked for, or else of what comes after the run.
                byte* next = values[block];
                if (chunk + _grid.ChunkLength + block * BlockLength < end) next = ofBlock0 + table[block + _grid.ChunkLength / BlockLength] * BlockBytes;
                else if (block < run.NextCount) next = nextOfBlock0 + run.NextBlocks[block] * BlockBytes;
                ahead[block] = next - values[block];
            }
            int tiles = (rows + TiledAttention.MostTileRows - 1) / TiledAttention.MostTileRows; // Of even sizes: seven rows become four and three.
            for (int tile = 0; tile < tiles; tile++)
            {
                int row = tile * rows / tiles, count = (tile + 1) * rows / tiles - row;
                Score(keys, firstBlock, blocks, queries + row * _length, count, scores + row * Stride, tile == 0 ? ValuesDistance : 0);
            }
            Weigh(rule, run, chunk, firstBlock * BlockLength, blocks * BlockLength, scores, sums, factors, rows);
            for (int tile = 0; tile < tiles; tile++)
            {
                int row = tile * rows / tiles, count = (tile + 1) * rows / tiles - row;
                Sum(values, tile == 0 ? ahead : nowhere, firstBlock * BlockLength, chunkEnd, scores + row * Stride, scaled, factors + row, sums.Values + row * _padded, count);
            }
        }
    }

    /// <summary>Copies queries, multiplied by all that their scores would be multiplied by.</summary>
    private void ScaleQueries(in QueryRun run, in AttentionRule rule, float* queries)
    {
        TFloats factor = TSimd.Create((float)((rule.SoftCap is { } cap ? (double)rule.Scale / cap : rule.Scale * Log2E) * TElement.QueryFactor));
        int groupLength = Shape.GroupSize * _length;
        for (int i = 0; i < run.Count; i++, queries += groupLength)
        {
            float* source = run.Queries + i * run.QueryStride;
            int e = 0;
            for (; e + TSimd.Lanes <= groupLength; e += TSimd.Lanes) TSimd.Store(TSimd.Multiply(TSimd.Load(source + e), factor), queries + e);
            for (; e < groupLength; e++) queries[e] = source[e] * TSimd.First(factor);
        }
    }

    /// <summary>Computes the scores of a tile of rows with the positions of some blocks.</summary>
    private void Score(byte** keys, int firstBlock, int blocks, float* queries, int rows, float* scores, long prefetch)
    {
        int first = firstBlock * BlockLength / TSimd.Lanes, end = blocks * BlockLength / TSimd.Lanes;
        switch (rows)
        {
            case 1: Score<Four, One>(keys, first, end, queries, scores, prefetch); break;
            case 2: Score<Four, Two>(keys, first, end, queries, scores, prefetch); break;
            case 3 when TSimd.Registers > 16: Score<Four, Three>(keys, first, end, queries, scores, prefetch); break;
            case 3: Score<Two, Three>(keys, first, end, queries, scores, prefetch); break;
            case 4: Score<Two, Four>(keys, first, end, queries, scores, prefetch); break;
            case 5: Score<Two, Five>(keys, first, end, queries, scores, prefetch); break;
            default: Score<Two, Six>(keys, first, end, queries, scores, prefetch); break;
        }
    }

    private void Score<TVectors, TRows>(byte** keys, int vector, int end, float* queries, float* scores, long prefetch)
        where TVectors : struct, ITileSize
        where TRows : struct, ITileSize
    {
        for (; vector + TVectors.Value <= end; vector += TVectors.Value)
        {
            byte** panels = keys + vector * TSimd.Lanes / BlockLength;
            int inBlock = vector % (BlockLength / TSimd.Lanes), group = TElement.HasScales ? ScaledByteKV.GroupLength : _length, offset = 0;
            for (int column = 0; column < _length; column += group, offset += ScaledByteKV.KeyGroupBytes)
                ScoreTile<TElement, TSimd, TFloats, TInts, TShorts, TVectors, TRows>.Multiply(
                    panels, inBlock, offset, queries + column, _length, Math.Min(group, _length - column), column == 0, scores + vector * TSimd.Lanes, prefetch);
        }
        if (vector == end) return;
        if (TVectors.Value > 2) Score<Two, TRows>(keys, vector, end, queries, scores, prefetch);
        else Score<One, TRows>(keys, vector, end, queries, scores, prefetch);
    }

    /// <summary>Turns scores into weights against the largest score so far, and tells what sums so far must be multiplied by.</summary>
    private void Weigh(in AttentionRule rule, in QueryRun run, int chunk, int start, int end, float* scores, PartialSums sums, float* factors, int rows)
    {
        float scoreFactor = rule.SoftCap is null ? TElement.ScoreFactor : 1;
        int groupSize = Shape.GroupSize;
        for (int i = 0, row = 0; i < run.Count; i++)
        {
            int firstSeen = Math.Clamp(rule.FirstSeen(run.Position + i) - chunk, start, end), seen = Math.Clamp(run.Position + i + 1 - chunk, start, end);
            for (int head = 0; head < groupSize; head++, row++)
            {
                float* rowScores = scores + row * Stride;
                if (rule.SoftCap is { } cap) Cap(rowScores, start, end, TElement.ScoreFactor, (float)(cap * Log2E));
                // Whatever stale blocks hold after the last position is overwritten here.
                if (firstSeen > start) new Span<float>(rowScores + start, firstSeen - start).Fill(float.NegativeInfinity);
                if (seen < end) new Span<float>(rowScores + seen, end - seen).Fill(float.NegativeInfinity);
                float largest = Math.Max(sums.Largest[row], Softmax.Largest<TSimd, TFloats, TInts, TShorts>(rowScores, start, end) * scoreFactor);
                factors[row] = sums.Largest[row] - largest;
                sums.Largest[row] = largest;
            }
        }
        for (int row = 0; row < rows; row += TSimd.Lanes) TSimd.Store(Softmax.Exp2<TSimd, TFloats, TInts, TShorts>(TSimd.Load(factors + row)), factors + row);
        for (int row = 0; row < rows; row++)
        {
            float sum = Softmax.Exponentiate<TSimd, TFloats, TInts, TShorts>(scores + row * Stride, start, end, scoreFactor, sums.Largest[row], TElement.WeightFactor);
            sums.Weights[row] = MathF.FusedMultiplyAdd(sums.Weights[row], factors[row], sum);
        }
    }

    /// <summary>Scores as logarithms to base 2, softly between plus and minus a bound.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Cap(float* scores, int start, int end, float factor, float bound)
    {
        for (int i = start; i < end; i += TSimd.Lanes)
            TSimd.Store(TSimd.Multiply(VectorMath.Tanh<TSimd, TFloats, TInts, TShorts>(TSimd.Multiply(TSimd.Load(scores + i), TSimd.Create(factor))), TSimd.Create(bound)), scores + i);
    }

    /// <summary>Continues the weighted sums of the values for a tile of rows.</summary>
    private void Sum(byte** values, long* ahead, int start, int end, float* weights, float* scaled, float* factors, float* sums, int rows)
    {
        int group = TElement.HasScales ? ScaledByteKV.GroupLength : _padded;
        for (int element = 0; element < _padded; element += group)
        {
            float* x = weights;
            if (TElement.HasScales)
            {
                ScaleWeights(values, element / group, start, end, weights, scaled, rows);
                x = scaled;
            }
            int stop = Math.Min(element + group, _padded);
            switch (rows)
            {
                case 1: Sum<Four, One>(values, ahead, element, stop, start, end, x, factors, sums); break;
                case 2: Sum<Four, Two>(values, ahead, element, stop, start, end, x, factors, sums); break;
                case 3 when TSimd.Registers > 16: Sum<Four, Three>(values, ahead, element, stop, start, end, x, factors, sums); break;
                case 3: Sum<Two, Three>(values, ahead, element, stop, start, end, x, factors, sums); break;
                case 4: Sum<Two, Four>(values, ahead, element, stop, start, end, x, factors, sums); break;
                case 5: Sum<Two, Five>(values, ahead, element, stop, start, end, x, factors, sums); break;
                default: Sum<Two, Six>(values, ahead, element, stop, start, end, x, factors, sums); break;
            }
        }
    }

    private void Sum<TVectors, TRows>(byte** values, long* ahead, int element, int stop, int start, int end, float* weights, float* factors, float* sums)
        where TVectors : struct, ITileSize
        where TRows : struct, ITileSize
    {
        for (; element + TVectors.Value * TSimd.Lanes <= stop; element += TVectors.Value * TSimd.Lanes)
            ValueTile<TElement, TSimd, TFloats, TInts, TShorts, TVectors, TRows>.Accumulate(values, ahead, element, _padded, start, end, weights, factors, sums);
        if (element == stop) return;
        if (TVectors.Value > 2) Sum<Two, TRows>(values, ahead, element, stop, start, end, weights, factors, sums);
        else Sum<One, TRows>(values, ahead, element, stop, start, end, weights, factors, sums);
    }

    /// <summary>Multiplies weights by the scales of a group of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScaleWeights(byte** values, int group, int start, int end, float* weights, float* scaled, int rows)
    {
        for (int i = start; i < end; i += BlockLength)
        {
            float* scales = ScaledByteKV.ValueScales(values[i / BlockLength], group, _padded);
            for (int lane = 0; lane < BlockLength; lane += TSimd.Lanes)
            {
                TFloats scale = TSimd.Load(scales + lane);
                for (int row = 0; row < rows; row++) TSimd.Store(TSimd.Multiply(TSimd.Load(weights + row * Stride + i + lane), scale), scaled + row * Stride + i + lane);
            }
        }
    }

    /// <summary>Adds a span's sums to those of the spans before it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Merge(PartialSums total, PartialSums span, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            float largest = Math.Max(total.Largest[row], span.Largest[row]);
            TFloats kept = Softmax.Exp2<TSimd, TFloats, TInts, TShorts>(TSimd.Create(total.Largest[row] - largest)), added = Softmax.Exp2<TSimd, TFloats, TInts, TShorts>(TSimd.Create(span.Largest[row] - largest));
            float* sums = total.Values + row * _padded, addends = span.Values + row * _padded;
            for (int i = 0; i < _padded; i += TSimd.Lanes) TSimd.Store(TSimd.MultiplyAdd(TSimd.Load(addends + i), added, TSimd.Multiply(TSimd.Load(sums + i), kept)), sums + i);
            total.Largest[row] = largest;
            total.Weights[row] = MathF.FusedMultiplyAdd(span.Weights[row], TSimd.First(added), total.Weights[row] * TSimd.First(kept));
        }
    }

    /// <summary>Divides the sums of values by those of weights.</summary>
    private void Finish(PartialSums sums, in QueryRun run)
    {
        for (int i = 0; i < run.Count; i++)
            for (int head = 0; head < Shape.GroupSize; head++)
            {
                int row = i * Shape.GroupSize + head;
                Vector256<float> inverse = Vector256.Create(1 / sums.Weights[row]);
                float* source = sums.Values + row * _padded, output = run.Output + i * run.OutputStride + head * _length;
                // Adding zero makes zeros positive: whether a sum of nothing but zeros kept a minus sign would depend on the other rows.
                for (int e = 0; e < _length; e += Vector256<float>.Count) (Vector256.Load(source + e) * inverse + Vector256<float>.Zero).Store(output + e);
            }
    }

    private const double Log2E = 1.4426950408889634;
}
