namespace MLFramework.Cpu.Tests;

/// <summary>One sequence of random keys and values in scattered blocks, and random queries at all its positions.</summary>
internal sealed unsafe class AttentionRig : IDisposable
{
    private readonly PagedAttention _attention;
    private readonly NativeBuffer<float> _queries, _output, _scratch;
    private readonly NativeBuffer<int> _blocks;

    public AttentionRig(KernelSet kernels, AttentionShape shape, KVElementType type, int positions, int seed, ReductionGrid? grid = null)
    {
        (Shape, Positions) = (shape, positions);
        int blockCount = (positions + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength, width = shape.KVHeads * shape.HeadLength;
        Keys = MatrixTests.Normal(positions * width, seed);
        Values = MatrixTests.Normal(positions * width, seed + 1);
        Queries = MatrixTests.Normal(positions * Stride, seed + 2);
        _attention = kernels.CreateAttention(shape, type, 2 * blockCount + 1, grid);
        _queries = new NativeBuffer<float>(Queries.Length);
        Queries.CopyTo(new Span<float>(_queries.Pointer, Queries.Length));
        _output = new NativeBuffer<float>(Stride * (long)_attention.RunLength);
        _scratch = new NativeBuffer<float>(_attention.ScratchLength);
        _blocks = new NativeBuffer<int>(blockCount);
        int[] order = [.. Enumerable.Range(0, 2 * blockCount + 1)];
        new Random(seed).Shuffle(order);
        order[..blockCount].CopyTo(new Span<int>(_blocks.Pointer, blockCount));
        StoreAll();
    }

    public AttentionShape Shape { get; }

    public int Positions { get; }

    public int RunLength => _attention.RunLength;

    /// <summary>[position, KV head, element].</summary>
    public float[] Keys { get; }

    /// <inheritdoc cref="Keys"/>
    public float[] Values { get; }

    /// <summary>[position, query head, element].</summary>
    public float[] Queries { get; }

    private int Stride => Shape.QueryHeads * Shape.HeadLength;

    /// <summary>Results of some positions, computed as one run.</summary>
    /// <param name="rule">How products become weights.</param>
    /// <param name="start">The first position.</param>
    /// <param name="count">How many, at most <see cref="RunLength"/>.</param>
    /// <param name="bySpans">Whether each span is computed apart, the last first.</param>
    /// <returns>[position, query head, element].</returns>
    public float[] Attend(AttentionRule rule, int start, int count, bool bySpans = false)
    {
        int group = Shape.GroupSize * Shape.HeadLength, spans = (start + count + _attention.SpanLength - 1) / _attention.SpanLength, length = _attention.PartialLength(count);
        using var partials = new NativeBuffer<float>((long)spans * length);
        // Blocks before the window are not read: the scheduler may have given them to somebody else.
        int unseen = rule.FirstSeen(start) / PagedAttention.BlockLength;
        int[] table = new Span<int>(_blocks.Pointer, (int)_blocks.Length).ToArray();
        new Span<int>(_blocks.Pointer, unseen).Fill(int.MaxValue);
        for (int head = 0; head < Shape.KVHeads; head++)
        {
            var run = new QueryRun
            {
                Queries = _queries.Pointer + (long)start * Stride + head * group,
                QueryStride = Stride,
                Position = start,
                Count = count,
                Blocks = _blocks.Pointer,
                Output = _output.Pointer + head * group,
                OutputStride = Stride,
            };
            if (bySpans)
            {
                for (int span = spans - 1; span >= 0; span--) _attention.AttendSpan(Shape.Layers - 1, head, rule, run, span, partials.Pointer + span * length, _scratch.Pointer);
                _attention.CombineSpans(partials.Pointer, spans, run);
            }
            else
            {
                _attention.Attend(Shape.Layers - 1, head, rule, run, _scratch.Pointer);
            }
        }
        table.CopyTo(new Span<int>(_blocks.Pointer, table.Length));
        return new Span<float>(_output.Pointer, count * Stride).ToArray();
    }

    /// <summary>Results of all positions, in runs as long as they may be.</summary>
    public float[] AttendAll(AttentionRule rule)
    {
        var all = new List<float>();
        for (int start = 0; start < Positions; start += RunLength) all.AddRange(Attend(rule, start, Math.Min(RunLength, Positions - start)));
        return [.. all];
    }

    /// <summary>The result of one head at one position in double precision.</summary>
    public double[] Expected(AttentionRule rule, int position, int head)
    {
        int length = Shape.HeadLength, width = Shape.KVHeads * length, kvOffset = head / Shape.GroupSize * length, first = rule.FirstSeen(position);
        ReadOnlySpan<float> query = Queries.AsSpan(position * Stride + head * length, length);
        var scores = new double[position + 1 - first];
        for (int i = 0; i < scores.Length; i++)
        {
            for (int e = 0; e < length; e++) scores[i] += rule.Scale * (double)query[e] * Keys[(first + i) * width + kvOffset + e];
            if (rule.SoftCap is { } cap) scores[i] = cap * Math.Tanh(scores[i] / cap);
        }
        double largest = scores.Max();
        double[] weights = [.. scores.Select(score => Math.Exp(score - largest))];
        return [.. Enumerable.Range(0, length).Select(e => weights.Select((weight, i) => weight * Values[(first + i) * width + kvOffset + e]).Sum() / weights.Sum())];
    }

    public void Dispose()
    {
        _attention.Dispose();
        _queries.Dispose();
        _output.Dispose();
        _scratch.Dispose();
        _blocks.Dispose();
    }

    private void StoreAll()
    {
        int width = Shape.KVHeads * Shape.HeadLength, layer = Shape.Layers - 1;
        fixed (float* keys = Keys, values = Values)
        {
            // Blocks are reused: what a former sequence left after the last position must not matter.
            float[] stale = [.. Enumerable.Repeat(float.NaN, width)];
            fixed (float* left = stale)
                for (int offset = 0; offset < PagedAttention.BlockLength; offset++) _attention.Store(layer, _blocks.Pointer[_blocks.Length - 1], offset, left, left);
            for (int i = 0; i < Positions; i++)
                _attention.Store(layer, _blocks.Pointer[i / PagedAttention.BlockLength], i % PagedAttention.BlockLength, keys + i * width, values + i * width);
        }
    }
}
