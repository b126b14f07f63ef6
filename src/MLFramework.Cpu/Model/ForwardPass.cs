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

/// <summary>Computes one forward pass over the rows of a plan: all members of a team walk through the phases together, with a barrier after each.</summary>
internal sealed unsafe class ForwardPass : ITeamJob, IDisposable
{
    private const int SharesPerMember = 8, MostItemsAtOnce = 16;

    /// <summary>
    /// Bytes of weights times rows below which one thread computes alone: about half a millisecond, in which dozens of barriers gain little, and on a busy
    /// machine, where they wait for threads that are not running, lose a lot (measured: a factor of ten).
    /// </summary>
    public const long LeastSharedWork = 16 << 20;

    private readonly CpuModel _model;
    private readonly HyperParameters _sizes;
    private readonly ComputeTeam _team, _alone = new(1);
    private readonly PagedAttention _attention;
    private readonly Workspace _work;
    private readonly NativeBuffer<float>[] _scratch;
    private readonly long _leastSharedWork;
    private PassPlan _plan = new();
    private ILogitsConsumer? _consumer;
    private CancellationToken _cancellationToken;

    /// <param name="model">The model.</param>
    /// <param name="attention">Its keys and values.</param>
    /// <param name="team">Who computes.</param>
    /// <param name="leastSharedWork">Bytes of weights times rows from which the whole team computes.</param>
    public ForwardPass(CpuModel model, PagedAttention attention, ComputeTeam team, long leastSharedWork = LeastSharedWork)
    {
        _leastSharedWork = leastSharedWork;
        (_model, _sizes, _attention, _team, _work) = (model, model.HyperParameters, attention, team, new Workspace(model));
        _scratch = [.. Enumerable.Range(0, team.Size).Select(_ => new NativeBuffer<float>(attention.ScratchLength(model.HyperParameters.ContextLength)))];
    }

    /// <summary>Computes a plan.</summary>
    /// <param name="plan">What to compute; its tokens, positions and blocks are those of the model and its cache.</param>
    /// <param name="consumer">Receives the logits.</param>
    /// <param name="cancellationToken">Ends the pass between two layers.</param>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public void Run(PassPlan plan, ILogitsConsumer consumer, CancellationToken cancellationToken)
    {
        if (plan.RowCount == 0) return;
        _work.Reserve(plan.RowCount, plan.OutputCount);
        (_plan, _consumer, _cancellationToken) = (plan, consumer, cancellationToken);
        (plan.RowCount * _model.PackedBytes < _leastSharedWork ? _alone : _team).Run(this);
    }

    /// <summary>Whether all that the last pass computed for a sequence was finite.</summary>
    public bool IsFinite(PlannedSequence sequence) => !_work.IsFinite.AsSpan(sequence.FirstRow, sequence.RowCount).Contains(false);

    public void Execute(ComputeTeam team, int member)
    {
        EmbedRows(team);
        team.Barrier();
        for (int index = 0; index < _model.Layers.Length; index++)
        {
            _cancellationToken.ThrowIfCancellationRequested();
            LayerWeights layer = _model.Layers[index];
            NormalizeRows(team, layer.AttentionNorm, layer.QueryKeyValue, addsDelta: index > 0);
            team.Barrier();
            layer.QueryKeyValue.Multiply(team, Inputs(layer.QueryKeyValue, _plan.RowCount), _work.Projection);
            team.Barrier();
            StoreKeysAndValues(team, index, layer);
            team.Barrier();
            Attend(team, member, index, layer);
            team.Barrier();
            if (layer.AttentionOutput.NeedsCodes || layer.AttentionOutput.NeedsBlocks)
            {
                QuantizeRows(team, layer.AttentionOutput);
                team.Barrier();
            }
            layer.AttentionOutput.Multiply(team, Inputs(layer.AttentionOutput, _plan.RowCount), _work.Delta);
            team.Barrier();
            NormalizeRows(team, layer.FeedForwardNorm, layer.GateUp, addsDelta: true);
            team.Barrier();
            layer.GateUp.Multiply(team, Inputs(layer.GateUp, _plan.RowCount), _work.Projection);
            team.Barrier();
            GateRows(team, layer);
            team.Barrier();
            layer.Down.Multiply(team, Inputs(layer.Down, _plan.RowCount), _work.Delta);
            team.Barrier();
        }
        FinishRows(team);
        team.Barrier();
        _model.Output.Multiply(team, Inputs(_model.Output, _plan.OutputCount), _work.Logits);
        team.Barrier();
        while (team.TryTake(_plan.OutputCount, 1, out int output, out _))
            _consumer!.Consume(member, output, new Span<float>(_work.Logits + (long)output * _model.Output.OutputStride, _sizes.VocabularySize));
    }

    public void Dispose()
    {
        _alone.Dispose();
        _work.Dispose();
        foreach (NativeBuffer<float> scratch in _scratch) scratch.Dispose();
    }

    private void EmbedRows(ComputeTeam team)
    {
        int pairs = _sizes.RotaryLength / 2;
        while (team.TryTake(_plan.RowCount, 1, out int row, out _))
        {
            PlannedRow planned = _plan.Row(row);
            float* residual = Residual(row), angles = _work.Angles + (long)row * _sizes.RotaryLength;
            new Span<float>(residual, _work.ResidualStride).Clear();
            _model.Embed(planned.Token, new Span<float>(residual, _sizes.EmbeddingLength));
            for (int pair = 0; pair < pairs; pair++)
            {
                (double sine, double cosine) = Math.SinCos(planned.Position * _model.RotaryFrequencies[pair]);
                (angles[pair], angles[pairs + pair]) = ((float)cosine, (float)sine);
            }
            _work.IsFinite[row] = true;
        }
    }

    /// <summary>Adds what the last phase computed, if anything, and normalizes for the next.</summary>
    private void NormalizeRows(ComputeTeam team, NativeBuffer<float> norm, MatrixGroup next, bool addsDelta)
    {
        while (team.TryTake(_plan.RowCount, 1, out int row, out _))
        {
            if (addsDelta) RowKernels.Add(Residual(row), Delta(row), _work.ResidualStride);
            Normalize(row, row, norm, next);
        }
    }

    /// <summary>As <see cref="NormalizeRows"/>, for the rows whose logits are wanted; their input stands in the order of the outputs.</summary>
    private void FinishRows(ComputeTeam team)
    {
        while (team.TryTake(_plan.OutputCount, 1, out int output, out _))
        {
            int row = _plan.OutputRow(output);
            RowKernels.Add(Residual(row), Delta(row), _work.ResidualStride);
            Normalize(row, output, _model.OutputNorm, _model.Output);
        }
    }

    private void Normalize(int row, int inputRow, NativeBuffer<float> norm, MatrixGroup next)
    {
        _work.IsFinite[row] &= RowKernels.RmsNorm(Residual(row), norm.Pointer, Input(next, inputRow), _sizes.EmbeddingLength, _sizes.NormEpsilon);
        Quantize(next, inputRow);
    }

    private void StoreKeysAndValues(ComputeTeam team, int index, LayerWeights layer)
    {
        MatrixGroup group = layer.QueryKeyValue;
        int keys = group.Offset(1), values = group.Offset(2), head = _sizes.HeadLength;
        while (team.TryTake(_plan.RowCount, 1, out int row, out _))
        {
            PlannedRow planned = _plan.Row(row);
            float* projection = _work.Projection + (long)row * group.OutputStride, angles = _work.Angles + (long)row * _sizes.RotaryLength;
            if (layer.QueryKeyValueBias is { } bias) RowKernels.Add(projection, bias.Pointer, group.OutputStride);
            for (int i = 0; i < _sizes.Heads; i++) RowKernels.Rotate(projection + i * head, angles, _sizes.RotaryLength);
            for (int i = 0; i < _sizes.KVHeads; i++) RowKernels.Rotate(projection + keys + i * head, angles, _sizes.RotaryLength);
            int block = _plan.Blocks(planned)[planned.Position / PagedAttention.BlockLength];
            _attention.Store(index, block, planned.Position % PagedAttention.BlockLength, projection + keys, projection + values);
        }
    }

    private void Attend(ComputeTeam team, int member, int index, LayerWeights layer)
    {
        int groupLength = _attention.Shape.GroupSize * _sizes.HeadLength, items = _plan.RowCount * _sizes.KVHeads;
        int grain = Math.Clamp(items / (SharesPerMember * team.Size), 1, MostItemsAtOnce);
        while (team.TryTake(items, grain, out int first, out int end))
            for (int item = first; item < end; item++)
            {
                int row = item / _sizes.KVHeads, kvHead = item % _sizes.KVHeads;
                PlannedRow planned = _plan.Row(row);
                var run = new QueryRun
                {
                    Queries = _work.Projection + (long)row * layer.QueryKeyValue.OutputStride + kvHead * groupLength,
                    QueryStride = layer.QueryKeyValue.OutputStride,
                    Position = planned.Position,
                    Count = 1,
                    Blocks = _plan.Blocks(planned),
                    Output = Input(layer.AttentionOutput, row) + kvHead * groupLength,
                    OutputStride = layer.AttentionOutput.InputStride,
                };
                _attention.Attend(index, kvHead, layer.Attention, run, _scratch[member].Pointer);
            }
    }

    private void QuantizeRows(ComputeTeam team, MatrixGroup next)
    {
        while (team.TryTake(_plan.RowCount, 1, out int row, out _)) Quantize(next, row);
    }

    private void GateRows(ComputeTeam team, LayerWeights layer)
    {
        int up = layer.GateUp.Offset(1);
        while (team.TryTake(_plan.RowCount, 1, out int row, out _))
        {
            float* gate = _work.Projection + (long)row * layer.GateUp.OutputStride;
            RowKernels.SwiGlu(gate, gate + up, Input(layer.Down, row), layer.Down.InputStride);
            Quantize(layer.Down, row);
        }
    }

    private void Quantize(MatrixGroup next, int row)
    {
        long offset = (long)row * next.InputStride;
        if (next.NeedsCodes) RowKernels.Quantize(_work.Input + offset, _work.Codes + offset, _work.Scales + offset / Padding.Unit, next.InputStride);
        if (next.NeedsBlocks) ActivationQuantizer.Quantize(_work.Input + offset, _work.Blocks + offset / ActivationBlock.Length, next.InputStride);
    }

    private ActivationRows Inputs(MatrixGroup group, int count) => new(_work.Input, _work.Codes, _work.Scales, _work.Blocks, count, group.InputStride);

    private float* Residual(int row) => _work.Residual + (long)row * _work.ResidualStride;

    private float* Delta(int row) => _work.Delta + (long)row * _work.ResidualStride;

    private float* Input(MatrixGroup next, int row) => _work.Input + (long)row * next.InputStride;
}
