namespace MLFramework.Cpu;

/// <summary>Receives the logits of a pass.</summary>
internal interface ILogitsConsumer
{
    /// <summary>Takes one output's logits; called on the member's thread, for several outputs at once.</summary>
    /// <param name="member">Which member of the team.</param>
    /// <param name="output">Which output of the plan.</param>
    /// <param name="logits">One per token of the vocabulary; may be changed.</param>
    void Consume(int member, int output, Span<float> logits);
}

/// <summary>Receives the hidden states of a pass.</summary>
internal interface IHiddenStateConsumer
{
    /// <summary>Takes one output's state after the final normalization; called on the member's thread, for several outputs at once.</summary>
    /// <param name="output">Which output of the plan.</param>
    /// <param name="state">[embedding], valid during the call.</param>
    void Consume(int output, ReadOnlySpan<float> state);
}

/// <summary>Some of a plan's rows.</summary>
/// <param name="First">The first.</param>
/// <param name="Count">How many.</param>
internal readonly record struct RowRange(int First, int Count);

/// <summary>Computes one forward pass over the rows of a plan: all members of a team walk through the phases together, with a barrier after each.</summary>
internal sealed unsafe partial class ForwardPass : ITeamJob, IDisposable
{
    /// <summary>
    /// Bytes of weights times rows, and multiplications of attention, below which one thread computes alone: about half a millisecond, in which dozens of
    /// barriers gain little, and on a busy machine, where they wait for threads that are not running, lose a lot (measured: a factor of ten).
    /// </summary>
    public const long LeastSharedWork = 16 << 20;

    /// <summary>Bytes of gated activations that are computed before they are used: more would leave the cache and come back.</summary>
    private const int FeedForwardBytes = 1 << 20;

    /// <summary>How many times a member should find rows to take in a phase, so that none waits long for another.</summary>
    private const int RowSharesPerMember = 8;

    /// <summary>Rows over which the weights are read at least, whatever the width: fewer would make that the slower part.</summary>
    private const int LeastFeedForwardRows = 96;

    private readonly CpuModel _model;
    private readonly HyperParameters _sizes;
    private readonly RowKernels _kernels;
    private readonly ComputeTeam _team, _alone = new(1);
    private readonly PagedAttention _attention;
    private readonly AttentionPlan _attentionPlan;
    private readonly Workspace _work;
    private readonly NativeBuffer<float>[] _scratch;
    private readonly NativeBuffer<short>[] _matrixScratch;
    private readonly long _leastSharedWork;
    private readonly int _feedForwardRows;
    private readonly int[] _layers;
    private PassPlan _plan = new();
    private ILogitsConsumer? _consumer;
    private IHiddenStateConsumer? _stateConsumer;
    private CancellationToken _cancellationToken;

    /// <param name="model">The model.</param>
    /// <param name="attention">Its keys and values.</param>
    /// <param name="team">Who computes.</param>
    /// <param name="leastSharedWork">As <see cref="LeastSharedWork"/>.</param>
    /// <param name="layers">Layers to go through, to exercise their kernels; null for all.</param>
    public ForwardPass(CpuModel model, PagedAttention attention, ComputeTeam team, long leastSharedWork = LeastSharedWork, int[]? layers = null)
    {
        (_leastSharedWork, _layers) = (leastSharedWork, layers ?? [.. Enumerable.Range(0, model.Layers.Length)]);
        (_model, _sizes, _kernels, _attention, _team, _work) = (model, model.HyperParameters, model.Kernels.Rows, attention, team, new Workspace(model));
        _feedForwardRows = Math.Max(LeastFeedForwardRows, FeedForwardBytes / sizeof(float) / model.Layers[0].Down.InputStride);
        _attentionPlan = new AttentionPlan(attention);
        int scratch = Math.Max(attention.ScratchLength, (_feedForwardRows + PackedMatrix.LargestTile) * 2 * PackedMatrix.PanelRows);
        int matrixScratch = model.Layers.SelectMany(layer => layer.Groups).Append(model.Output).Max(group => group.ScratchLength);
        _matrixScratch = [.. Enumerable.Range(0, team.Size).Select(_ => new NativeBuffer<short>(matrixScratch))];
        _scratch = [.. Enumerable.Range(0, team.Size).Select(_ => new NativeBuffer<float>(scratch))];
    }

    /// <summary>Computes a plan.</summary>
    /// <param name="plan">What to compute; its tokens, positions and blocks are those of the model and its cache.</param>
    /// <param name="consumer">Receives the logits.</param>
    /// <param name="cancellationToken">Ends the pass between two layers.</param>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public void Run(PassPlan plan, ILogitsConsumer consumer, CancellationToken cancellationToken)
    {
        _work.Reserve(plan.RowCount, plan.OutputCount);
        (_consumer, _stateConsumer) = (consumer, null);
        Run(plan, cancellationToken);
    }

    /// <summary>Computes a plan up to the hidden states of its outputs, without their logits.</summary>
    /// <param name="plan">What to compute.</param>
    /// <param name="consumer">Receives the states.</param>
    /// <param name="cancellationToken">Ends the pass between two layers.</param>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public void Run(PassPlan plan, IHiddenStateConsumer consumer, CancellationToken cancellationToken)
    {
        _work.Reserve(plan.RowCount, outputs: 0);
        (_consumer, _stateConsumer) = (null, consumer);
        Run(plan, cancellationToken);
    }

    /// <summary>Whether all that the last pass computed for a sequence was finite.</summary>
    public bool IsFinite(PlannedSequence sequence) => !_work.IsFinite.AsSpan(sequence.FirstRow, sequence.RowCount).Contains(false);

    public void Execute(ComputeTeam team, int member)
    {
        short* scratch = _matrixScratch[member].Pointer;
        EmbedRows(team);
        team.Barrier();
        for (int i = 0; i < _layers.Length; i++)
        {
            _cancellationToken.ThrowIfCancellationRequested();
            int index = _layers[i];
            LayerWeights layer = _model.Layers[index];
            if (i == 0) NormalizeRows(team, layer.AttentionNorm, layer.QueryKeyValue);
            else AddAndNormalizeRows(team, new RowRange(0, _plan.RowCount), _model.Layers[_layers[i - 1]].FeedForwardPostNorm, layer.AttentionNorm, layer.QueryKeyValue);
            team.Barrier();
            layer.QueryKeyValue.Multiply(team, Inputs(layer.QueryKeyValue, _plan.RowCount), _work.Projection, scratch);
            team.Barrier();
            StoreKeysAndValues(team, index, layer);
            team.Barrier();
            Attend(team, member, index, layer);
            team.Barrier();
            QuantizeRows(team, layer.AttentionOutput, _work.Input, _plan.RowCount);
            layer.AttentionOutput.Multiply(team, Inputs(layer.AttentionOutput, _plan.RowCount), _work.Delta, scratch);
            team.Barrier();
            for (int part = 0, parts = (_plan.RowCount + _feedForwardRows - 1) / _feedForwardRows; part < parts; part++)
            {
                int start = PartStart(part, parts), end = PartStart(part + 1, parts);
                FeedForward(team, member, layer, new RowRange(start, end - start));
            }
        }
        FinishRows(team);
        team.Barrier();
        if (_stateConsumer is not null)
        {
            ConsumeStates(team);
            return;
        }
        _model.Output.Multiply(team, Inputs(_model.Output, _plan.OutputCount), _work.Logits, scratch);
        team.Barrier();
        foreach (int output in team.Share(_plan.OutputCount)) ConsumeLogits(member, output);
    }

    public void Dispose()
    {
        _alone.Dispose();
        _work.Dispose();
        _attentionPlan.Dispose();
        foreach (NativeBuffer<float> scratch in _scratch) scratch.Dispose();
        foreach (NativeBuffer<short> scratch in _matrixScratch) scratch.Dispose();
    }

    private void Run(PassPlan plan, CancellationToken cancellationToken)
    {
        if (plan.RowCount == 0) return;
        (_plan, _cancellationToken) = (plan, cancellationToken);
        _attentionPlan.Build(plan, _team.Size);
        long work = plan.RowCount * _model.PackedBytes + 2L * _sizes.Layers * _sizes.Heads * _sizes.HeadLength * _attentionPlan.Cost;
        (work < _leastSharedWork ? _alone : _team).Run(this);
    }

    /// <summary>The second half of a layer, for some of the rows: as many as leave their widest activations in the cache.</summary>
    private void FeedForward(ComputeTeam team, int member, LayerWeights layer, RowRange rows)
    {
        AddAndNormalizeRows(team, rows, layer.AttentionPostNorm, layer.FeedForwardNorm, layer.GateUp);
        team.Barrier();
        ActivationRows input = Inputs(layer.GateUp, rows.Count);
        short* scratch = _matrixScratch[member].Pointer;
        if (rows.Count > PackedMatrix.LargestTile)
        {
            GatePanels(team, member, layer, input);
            team.Barrier();
            QuantizeRows(team, layer.Down, _work.Projection, rows.Count);
            layer.Down.Multiply(team, Inputs(layer.Down, rows.Count, _work.Projection), Delta(rows.First), scratch);
        }
        else
        {
            // A single tile streams through the weights, which taking panels of two matrices in turn would interrupt.
            layer.GateUp.Multiply(team, input, _work.Projection, scratch);
            team.Barrier();
            GateRows(team, rows.Count, layer);
            team.Barrier();
            layer.Down.Multiply(team, Inputs(layer.Down, rows.Count), Delta(rows.First), scratch);
        }
        team.Barrier();
    }

    private void Attend(ComputeTeam team, int member, int index, LayerWeights layer)
    {
        int count = _attentionPlan.Count * _sizes.KVHeads;
        ItemShares items = team.Share(count, _attentionPlan.Grain);
        while (items.MoveNext()) Attend(items.Current, Math.Min(items.Next, count - 1), index, layer, _scratch[member].Pointer);
    }

    private void Attend(int number, int nextNumber, int index, LayerWeights layer, float* scratch)
    {
        AttentionItem item = _attentionPlan[number / _sizes.KVHeads], next = _attentionPlan[nextNumber / _sizes.KVHeads];
        int kvHead = number % _sizes.KVHeads;
        PlannedRow nextRow = _plan.Row(next.Row);
        int nextStart = Math.Max(layer.Attention.FirstSeen(nextRow.Position), Math.Max(next.Span, 0) * _attention.SpanLength) / PagedAttention.BlockLength;
        int groupLength = _attention.Shape.GroupSize * _sizes.HeadLength;
        PlannedRow first = _plan.Row(item.Row);
        var run = new QueryRun
        {
            Queries = _work.Projection + (long)item.Row * layer.QueryKeyValue.OutputStride + kvHead * groupLength,
            QueryStride = layer.QueryKeyValue.OutputStride,
            Position = first.Position,
            Count = item.Count,
            Blocks = _plan.Blocks(first),
            Output = Input(layer.AttentionOutput, item.Row) + kvHead * groupLength,
            OutputStride = layer.AttentionOutput.InputStride,
            NextBlocks = _plan.Blocks(nextRow) + nextStart,
            NextCount = (nextRow.Position + next.Count - 1) / PagedAttention.BlockLength + 1 - nextStart,
            NextHead = nextNumber % _sizes.KVHeads,
        };
        _attentionPlan.Attend(item, index, kvHead, layer.Attention, run, scratch);
    }

    /// <summary>
    /// Computes panels of gates and what they are multiplied with, and multiplies them at once: with many rows they would leave the cache before all are
    /// there. What comes out takes the place that <see cref="GateRows"/> would have read, since others still read the input.
    /// </summary>
    private void GatePanels(ComputeTeam team, int member, LayerWeights layer, in ActivationRows input)
    {
        const int Panel = PackedMatrix.PanelRows;
        float* products = _scratch[member].Pointer;
        foreach (int panel in team.Share(layer.Down.InputStride / Panel))
        {
            layer.GateUp.MultiplyPair(panel, input, products, _matrixScratch[member].Pointer, panel + team.Size);
            _kernels.Gate(_model.GateActivation, products, products + Panel, 2 * Panel, _work.Projection + panel * Panel, layer.Down.InputStride, input.Count, Panel);
        }
    }

    private void ConsumeStates(ComputeTeam team)
    {
        foreach (int output in team.Share(_plan.OutputCount))
            _stateConsumer!.Consume(output, new ReadOnlySpan<float>(Input(_model.Output, output), _sizes.EmbeddingLength));
    }

    private void ConsumeLogits(int member, int output)
    {
        float* logits = _work.Logits + (long)output * _model.Output.OutputStride;
        if (_sizes.LogitSoftCap is { } cap) _kernels.SoftCap(logits, cap, _model.Output.OutputStride);
        _consumer!.Consume(member, output, new Span<float>(logits, _sizes.VocabularySize));
    }

    /// <summary>Where a part of the rows begins: at whole tiles.</summary>
    private int PartStart(int part, int parts) => part == parts ? _plan.RowCount : (int)((long)_plan.RowCount * part / parts / PackedMatrix.LargestTile * PackedMatrix.LargestTile);

    private ActivationRows Inputs(MatrixGroup group, int count) => Inputs(group, count, _work.Input);

    private ActivationRows Inputs(MatrixGroup group, int count, float* values) => new(values, _work.Codes, _work.Scales, _work.Blocks, count, group.InputStride);
}
