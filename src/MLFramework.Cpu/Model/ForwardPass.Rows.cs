namespace MLFramework.Cpu;

/// <summary>The phases of a pass that go over rows of activations, and where those stand.</summary>
internal sealed unsafe partial class ForwardPass
{
    private void EmbedRows(ComputeTeam team)
    {
        foreach (int row in Rows(team, _plan.RowCount))
        {
            PlannedRow planned = _plan.Row(row);
            float* residual = Residual(row);
            new Span<float>(residual, _work.ResidualStride).Clear();
            _model.Embed(planned.Token, new Span<float>(residual, _sizes.EmbeddingLength));
            if (_sizes.EmbeddingScale != 1) _kernels.Scale(residual, _sizes.EmbeddingScale, _work.ResidualStride);
            _model.Rotary.Write(planned.Position, new Span<float>(Angles(_work.Angles, row), _sizes.RotaryLength));
            _model.LocalRotary?.Write(planned.Position, new Span<float>(Angles(_work.LocalAngles, row), _sizes.RotaryLength));
            _work.IsFinite[row] = true;
        }
    }

    private void NormalizeRows(ComputeTeam team, NativeBuffer<float> norm, MatrixGroup next)
    {
        foreach (int row in Rows(team, _plan.RowCount)) Normalize(row, row, norm, next);
    }

    /// <summary>Adds what the last phase computed to the residual stream, and normalizes that for the next, whose input begins with the first of the rows.</summary>
    private void AddAndNormalizeRows(ComputeTeam team, RowRange rows, NativeBuffer<float>? postNorm, NativeBuffer<float> norm, MatrixGroup next)
    {
        foreach (int index in Rows(team, rows.Count))
        {
            AddDelta(rows.First + index, postNorm);
            Normalize(rows.First + index, index, norm, next);
        }
    }

    /// <summary>As <see cref="AddAndNormalizeRows"/>, for the rows whose logits are wanted; their input stands in the order of the outputs.</summary>
    private void FinishRows(ComputeTeam team)
    {
        foreach (int output in team.Share(_plan.OutputCount))
        {
            int row = _plan.OutputRow(output);
            AddDelta(row, _model.Layers[_layers[^1]].FeedForwardPostNorm);
            Normalize(row, output, _model.OutputNorm, _model.Output);
        }
    }

    private void AddDelta(int row, NativeBuffer<float>? postNorm)
    {
        if (postNorm is not null) _work.IsFinite[row] &= _kernels.RmsNorm(Delta(row), postNorm.Pointer, Delta(row), _sizes.EmbeddingLength, _sizes.NormEpsilon);
        _kernels.Add(Residual(row), Delta(row), _work.ResidualStride);
    }

    private void Normalize(int row, int inputRow, NativeBuffer<float> norm, MatrixGroup next)
    {
        _work.IsFinite[row] &= _kernels.RmsNorm(Residual(row), norm.Pointer, Input(next, inputRow), _sizes.EmbeddingLength, _sizes.NormEpsilon);
        Quantize(next, _work.Input, inputRow);
    }

    private void StoreKeysAndValues(ComputeTeam team, int index, LayerWeights layer)
    {
        MatrixGroup group = layer.QueryKeyValue;
        int keys = group.Offset(1), values = group.Offset(2), head = _sizes.HeadLength;
        float* rotaryAngles = _model.LocalRotary is not null && _sizes.Window(index) is not null ? _work.LocalAngles : _work.Angles;
        foreach (int row in Rows(team, _plan.RowCount))
        {
            PlannedRow planned = _plan.Row(row);
            float* projection = _work.Projection + (long)row * group.OutputStride, angles = Angles(rotaryAngles, row);
            if (layer.QueryKeyValueBias is { } bias) _kernels.Add(projection, bias.Pointer, group.OutputStride);
            if (layer.QueryNorm is { } queryNorm) _work.IsFinite[row] &= RowKernels.NormalizeHeads(projection, queryNorm.Pointer, _sizes.Heads, head, _sizes.NormEpsilon);
            if (layer.KeyNorm is { } keyNorm) _work.IsFinite[row] &= RowKernels.NormalizeHeads(projection + keys, keyNorm.Pointer, _sizes.KVHeads, head, _sizes.NormEpsilon);
            for (int i = 0; i < _sizes.Heads; i++) _kernels.Rotate(projection + i * head, angles, _sizes.RotaryLength);
            for (int i = 0; i < _sizes.KVHeads; i++) _kernels.Rotate(projection + keys + i * head, angles, _sizes.RotaryLength);
            int block = _plan.Blocks(planned)[planned.Position / PagedAttention.BlockLength];
            _attention.Store(index, block, planned.Position % PagedAttention.BlockLength, projection + keys, projection + values);
        }
    }

    /// <summary>A phase of its own, with its barrier, where the next matrices want integers; none where they want floats.</summary>
    private void QuantizeRows(ComputeTeam team, MatrixGroup next, float* values, int count)
    {
        if (!next.NeedsCodes && !next.NeedsBlocks) return;
        foreach (int row in Rows(team, count)) Quantize(next, values, row);
        team.Barrier();
    }

    private void GateRows(ComputeTeam team, int count, LayerWeights layer)
    {
        int up = layer.GateUp.Offset(1);
        foreach (int row in Rows(team, count))
        {
            float* gate = _work.Projection + (long)row * layer.GateUp.OutputStride;
            _kernels.Gate(_model.GateActivation, gate, gate + up, 0, Input(layer.Down, row), 0, rows: 1, layer.Down.InputStride);
            Quantize(layer.Down, _work.Input, row);
        }
    }

    private void Quantize(MatrixGroup next, float* values, int row)
    {
        long offset = (long)row * next.InputStride;
        if (next.NeedsCodes) _kernels.Quantize(values + offset, _work.Codes + offset, _work.Scales + offset / Padding.Unit, next.InputStride);
        if (next.NeedsBlocks) ActivationQuantizer.Quantize(values + offset, _work.Blocks + offset / ActivationBlock.Length, next.InputStride);
    }

    /// <summary>Rows for a member of the team: some at a time, and of a block of keys and values all, or members would write to the same cache lines.</summary>
    private static ItemShares Rows(ComputeTeam team, int count) => team.Share(count, Math.Clamp(count / (RowSharesPerMember * team.Size), 1, PagedAttention.BlockLength));

    private float* Angles(float* ofAllRows, int row) => ofAllRows + (long)row * _sizes.RotaryLength;

    private float* Residual(int row) => _work.Residual + (long)row * _work.ResidualStride;

    private float* Delta(int row) => _work.Delta + (long)row * _work.ResidualStride;

    private float* Input(MatrixGroup next, int row) => _work.Input + (long)row * next.InputStride;
}
