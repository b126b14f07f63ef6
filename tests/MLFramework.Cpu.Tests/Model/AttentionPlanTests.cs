namespace MLFramework.Cpu.Tests;

/// <summary>How the work of attention is shared.</summary>
public sealed unsafe class AttentionPlanTests
{
    private static readonly AttentionShape Shape = new(1, 6, 2, 8);

    /// <summary>Sequences as (positions computed before, positions to compute).</summary>
    private static readonly (int Before, int Count)[][] Passes =
        [[(0, 1)], [(0, 40)], [(5000, 1)], [(5000, 1), (10, 1), (200, 1)], [(1023, 2), (0, 513), (1024, 1)], [(3000, 100), (9000, 1)], [.. Enumerable.Repeat((2500, 1), 32)]];

    [Test]
    public void Every_query_meets_every_position_once([Range(0, 6)] int pass, [Values(1, 2, 16)] int members)
    {
        using PagedAttention attention = NewAttention();
        using PassPlan plan = NewPass(Passes[pass]);
        using var work = new AttentionPlan(attention);

        work.Build(plan, members);

        var met = new Dictionary<(int Row, int Span), int>();
        for (int i = 0; i < work.Count; i++)
        {
            AttentionItem item = work[i];
            Assert.That(item.Count, Is.InRange(1, attention.RunLength));
            Assert.That(plan.Row(item.Row + item.Count - 1).Position - plan.Row(item.Row).Position, Is.EqualTo(item.Count - 1), "A run is of one sequence.");
            Assert.That(item.Spans, Is.EqualTo(plan.Row(item.Row + item.Count - 1).Position / attention.SpanLength + 1));
            for (int row = item.Row; row < item.Row + item.Count; row++)
                for (int span = item.Span < 0 ? 0 : item.Span; span < (item.Span < 0 ? item.Spans : item.Span + 1); span++)
                    met[(row, span)] = met.GetValueOrDefault((row, span)) + 1;
        }
        Assert.That(met.Values, Is.All.EqualTo(1));
        Assert.That(met.Keys.Select(key => key.Row).Distinct().Count(), Is.EqualTo(plan.RowCount));
        Assert.That(met.Keys.Count(key => key.Span == 0), Is.EqualTo(plan.RowCount));
        Assert.That(Enumerable.Range(0, work.Count).Select(i => work[i].Cost), Is.Ordered.Descending);
        Assert.That(work.Grain, Is.InRange(1, Shape.KVHeads));
    }

    [Test]
    public void A_context_is_cut_only_where_members_would_wait()
    {
        using PagedAttention attention = NewAttention();
        using var work = new AttentionPlan(attention);
        Assert.That(SpansOf((5000, 1), members: 2), Is.EqualTo(5), "Two heads for two members, and one long sequence.");
        Assert.That(SpansOf((5000, 1), members: 1), Is.EqualTo(1), "Nobody waits for oneself.");
        Assert.That(SpansOf((900, 1), members: 2), Is.EqualTo(1), "One span cannot be cut.");

        using PassPlan equals = NewPass([.. Enumerable.Repeat((5000, 1), 32)]);
        work.Build(equals, 2);
        Assert.That(work.Count, Is.EqualTo(32), "As many equals share well.");

        int SpansOf((int, int) sequence, int members)
        {
            using PassPlan plan = NewPass([sequence]);
            work.Build(plan, members);
            return work.Count;
        }
    }

    [Test]
    public void The_last_span_is_told_once_for_each_head_and_layer_and_sums_have_places_of_their_own()
    {
        using PagedAttention attention = NewAttention();
        using PassPlan plan = NewPass([(5000, 1), (7000, 1)]);
        using var work = new AttentionPlan(attention);
        work.Build(plan, 16);
        int[] items = [.. Enumerable.Range(0, work.Count)];
        Assert.That(items.Select(i => work[i].Span), Is.All.GreaterThanOrEqualTo(0));

        for (int layer = 0; layer < 2; layer++)
            foreach (int head in (int[])[0, 1])
                foreach (IGrouping<int, int> run in items.GroupBy(i => work[i].Row))
                    Assert.That(run.Select(i => work.IsLastSpan(work[i], head)).ToArray(), Is.EqualTo(run.Select((_, k) => k == run.Count() - 1)));

        long[] places = [.. from run in items.GroupBy(i => work[i].Row) from head in (int[])[0, 1] select (long)work.Partials(work[run.First()], head)];
        long length = (long)attention.PartialLength(1) * sizeof(float);
        Array.Sort(places);
        for (int i = 1; i < places.Length; i++) Assert.That(places[i] - places[i - 1], Is.GreaterThanOrEqualTo(5 * length));
    }

    [Test]
    public void Spans_counted_in_a_pass_that_was_called_off_are_forgotten()
    {
        using PagedAttention attention = NewAttention();
        using PassPlan plan = NewPass([(2000, 1)]);
        using var work = new AttentionPlan(attention);
        work.Build(plan, 2);
        Assert.That(work.IsLastSpan(work[0], 0), Is.False);

        work.Build(plan, 2);

        Assert.That(work.IsLastSpan(work[0], 0), Is.False);
        Assert.That(work.IsLastSpan(work[1], 0));
    }

    private static PagedAttention NewAttention() => KernelSet.Best.CreateAttention(Shape, KVElementType.F32, 1);

    private static PassPlan NewPass((int Before, int Count)[] sequences)
    {
        var plan = new PassPlan();
        foreach ((int before, int count) in sequences) plan.Add(new int[count], before, new int[(before + count + 15) / 16], wantsLogits: true);
        return plan;
    }
}
