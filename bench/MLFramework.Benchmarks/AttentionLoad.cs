using MLFramework.Cpu;

namespace MLFramework.Benchmarks;

/// <summary>Sequences in a shuffled cache, and a team that attends for them as a forward pass does.</summary>
internal sealed unsafe class AttentionLoad : ITeamJob, IDisposable
{
    private readonly PagedAttention _attention;
    private readonly ComputeTeam _team = new(Environment.ProcessorCount);
    private readonly PassPlan _pass = new();
    private readonly AttentionPlan _plan;
    private readonly AttentionRule _rule;
    private readonly NativeBuffer<float> _queries, _output;
    private readonly NativeBuffer<float>[] _scratch;
    private int _layer;

    /// <param name="shape">Sizes.</param>
    /// <param name="type">How keys and values are stored.</param>
    /// <param name="batch">Sequences that decode; 0 for one prompt.</param>
    /// <param name="context">Positions of each.</param>
    public AttentionLoad(AttentionShape shape, KVElementType type, int batch, int context)
    {
        int sequences = Math.Max(1, batch), blocksPerSequence = (context + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength, rows = batch == 0 ? context : batch;
        var random = new Random(1);
        int[] blocks = [.. Enumerable.Range(0, sequences * blocksPerSequence)];
        random.Shuffle(blocks);
        _attention = KernelSet.Best.CreateAttention(shape, type, blocks.Length);
        _plan = new AttentionPlan(_attention);
        _rule = AttentionRule.Standard(shape.HeadLength);
        _queries = new NativeBuffer<float>((long)rows * Stride);
        _output = new NativeBuffer<float>((long)rows * Stride);
        _scratch = [.. Enumerable.Range(0, _team.Size).Select(_ => new NativeBuffer<float>(_attention.ScratchLength))];
        for (long i = 0; i < _queries.Length; i++) _queries.Pointer[i] = 4 * random.NextSingle() - 2;
        Fill(random);
        for (int i = 0; i < sequences; i++)
        {
            ReadOnlySpan<int> own = blocks.AsSpan(i * blocksPerSequence, blocksPerSequence);
            if (batch == 0) _pass.Add(new int[context], 0, own, wantsLogits: false);
            else _pass.Add([0], context - 1, own, wantsLogits: true);
        }
        _plan.Build(_pass, _team.Size);
    }

    public int Layers => _attention.Shape.Layers;

    private int Stride => _attention.Shape.QueryHeads * _attention.Shape.HeadLength;

    public void Attend(int layer)
    {
        _layer = layer;
        _team.Run(this);
    }

    public void Execute(ComputeTeam team, int member)
    {
        int kvHeads = _attention.Shape.KVHeads;
        while (team.TryTake(_plan.Count * kvHeads, _plan.Grain, out int first, out int end))
            for (int item = first; item < end; item++) Attend(_plan[item / kvHeads], item % kvHeads, _scratch[member].Pointer);
    }

    public void Dispose()
    {
        _team.Dispose();
        _pass.Dispose();
        _plan.Dispose();
        _attention.Dispose();
        _queries.Dispose();
        _output.Dispose();
        foreach (NativeBuffer<float> scratch in _scratch) scratch.Dispose();
    }

    private void Attend(AttentionItem item, int kvHead, float* scratch)
    {
        long offset = (long)item.Row * Stride + kvHead * _attention.Shape.GroupSize * _attention.Shape.HeadLength;
        PlannedRow row = _pass.Row(item.Row);
        var run = new QueryRun
        {
            Queries = _queries.Pointer + offset,
            QueryStride = Stride,
            Position = row.Position,
            Count = item.Count,
            Blocks = _pass.Blocks(row),
            Output = _output.Pointer + offset,
            OutputStride = Stride,
        };
        _plan.Attend(item, _layer, kvHead, _rule, run, scratch);
    }

    private void Fill(Random random)
    {
        int width = _attention.Shape.KVHeads * _attention.Shape.HeadLength;
        var elements = new float[2 * width];
        fixed (float* keys = elements)
            for (int layer = 0; layer < Layers; layer++)
                for (int block = 0; block < _attention.Blocks; block++)
                {
                    for (int i = 0; i < elements.Length; i++) elements[i] = 2 * random.NextSingle() - 1;
                    for (int offset = 0; offset < PagedAttention.BlockLength; offset++) _attention.Store(layer, block, offset, keys, keys + width);
                }
    }
}
