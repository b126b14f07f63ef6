namespace MLFramework.Cpu;

/// <summary>A part of attention's work, for each head of keys and values.</summary>
/// <param name="Row">The first row of a run of queries.</param>
/// <param name="Count">Rows of the run: adjacent positions of one sequence.</param>
/// <param name="Span">The span of positions to attend to, −1 for all.</param>
/// <param name="Spans">Spans of the run.</param>
/// <param name="FirstPartial">Where the plan keeps the sums of the run's spans, in floats.</param>
/// <param name="FirstCounter">Where the plan counts the spans done.</param>
/// <param name="Cost">Products of queries and keys, in pairs of positions.</param>
internal readonly record struct AttentionItem(int Row, int Count, int Span, int Spans, long FirstPartial, int FirstCounter, long Cost);

/// <summary>
/// How the threads of a team share attention, once per pass: sequences are cut into runs of positions that share what is read of the cache, and runs that
/// alone would keep one thread busy while the others wait are cut into spans of positions attended to. The largest items come first. None of this
/// changes a bit of the results: sums are cut at the same positions either way.
/// </summary>
internal sealed unsafe class AttentionPlan(PagedAttention attention) : IDisposable
{
    /// <summary>Items of a run's size that a member should find at least, so that none waits long for another at the end.</summary>
    private const int SharesPerMember = 4;

    /// <summary>Pairs of positions that are worth taking at once: some microseconds.</summary>
    private const int LeastCostAtOnce = 1024;

    private readonly List<AttentionItem> _items = [];
    private NativeBuffer<float> _partials = new(0);
    private NativeBuffer<int> _counters = new(0);

    /// <summary>Items, each to be carried out for all heads of keys and values.</summary>
    public int Count => _items.Count;

    /// <summary>Pairs of positions over all items.</summary>
    public long Cost { get; private set; }

    /// <summary>How many items, times heads, to take at once.</summary>
    public int Grain { get; private set; }

    public AttentionItem this[int index] => _items[index];

    /// <summary>Makes the plan of a pass.</summary>
    /// <param name="pass">What the pass computes.</param>
    /// <param name="members">Members of the team.</param>
    /// <exception cref="OutOfMemoryException">There is not enough memory for the sums of spans.</exception>
    public void Build(PassPlan pass, int members)
    {
        _items.Clear();
        Cost = 0;
        for (int i = 0; i < pass.SequenceCount; i++) AddRuns(pass, pass.Sequence(i));
        if (members > 1) SplitLargeRuns(pass, Cost * attention.Shape.KVHeads / (SharesPerMember * members));
        _items.Sort(static (a, b) => b.Cost.CompareTo(a.Cost));
        Grain = (int)Math.Clamp(LeastCostAtOnce * _items.Count / Math.Max(1, Cost), 1, attention.Shape.KVHeads);
    }

    /// <summary>Carries out an item for one head.</summary>
    /// <param name="item">The item.</param>
    /// <param name="layer">Layer.</param>
    /// <param name="kvHead">Head of keys and values.</param>
    /// <param name="rule">How products become weights.</param>
    /// <param name="run">The item's queries, and where the results go.</param>
    /// <param name="scratch">The member's scratch.</param>
    public void Attend(AttentionItem item, int layer, int kvHead, in AttentionRule rule, in QueryRun run, float* scratch)
    {
        if (item.Span < 0)
        {
            attention.Attend(layer, kvHead, rule, run, scratch);
            return;
        }
        float* partials = Partials(item, kvHead);
        attention.AttendSpan(layer, kvHead, rule, run, item.Span, partials + (long)item.Span * attention.PartialLength(item.Count), scratch);
        if (IsLastSpan(item, kvHead)) attention.CombineSpans(partials, item.Spans, run);
    }

    /// <summary>Where the sums of a run's spans stand, one after the other.</summary>
    public float* Partials(AttentionItem item, int kvHead) => _partials.Pointer + item.FirstPartial + (long)kvHead * item.Spans * attention.PartialLength(item.Count);

    /// <summary>Counts a span of a run as done; what other members wrote for the run's other spans is visible when the last is.</summary>
    /// <returns>Whether it was the last.</returns>
    public bool IsLastSpan(AttentionItem item, int kvHead)
    {
        int* counter = _counters.Pointer + item.FirstCounter + kvHead;
        if (Interlocked.Increment(ref *counter) < item.Spans) return false;
        *counter = 0; // For the next layer.
        return true;
    }

    public void Dispose()
    {
        _partials.Dispose();
        _counters.Dispose();
    }

    private void AddRuns(PassPlan pass, PlannedSequence sequence)
    {
        for (int row = sequence.FirstRow, end = row + sequence.RowCount; row < end; row += attention.RunLength)
        {
            int count = Math.Min(attention.RunLength, end - row), positions = pass.Row(row + count - 1).Position + 1;
            long cost = (long)count * positions;
            Cost += cost;
            _items.Add(new AttentionItem(row, count, -1, (positions + attention.SpanLength - 1) / attention.SpanLength, 0, 0, cost));
        }
    }

    private void SplitLargeRuns(PassPlan pass, long largest)
    {
        long partials = 0;
        int counters = 0;
        for (int i = _items.Count - 1; i >= 0; i--)
        {
            AttentionItem run = _items[i];
            if (run.Spans == 1 || run.Cost <= largest) continue;
            int positions = pass.Row(run.Row + run.Count - 1).Position + 1;
            for (int span = 0; span < run.Spans; span++)
            {
                int spanLength = Math.Min(attention.SpanLength, positions - span * attention.SpanLength);
                AttentionItem item = run with { Span = span, FirstPartial = partials, FirstCounter = counters, Cost = (long)run.Count * spanLength };
                if (span == 0) _items[i] = item;
                else _items.Add(item);
            }
            partials += (long)attention.Shape.KVHeads * run.Spans * attention.PartialLength(run.Count);
            counters += attention.Shape.KVHeads;
        }
        Reserve(ref _partials, partials);
        Reserve(ref _counters, counters);
        // A pass that was cancelled may have left some.
        new Span<int>(_counters.Pointer, counters).Clear();
    }

    private static void Reserve<T>(ref NativeBuffer<T> buffer, long length) where T : unmanaged
    {
        if (length <= buffer.Length) return;
        var larger = new NativeBuffer<T>(Math.Max(length, 2 * buffer.Length));
        buffer.Dispose();
        buffer = larger;
    }
}
