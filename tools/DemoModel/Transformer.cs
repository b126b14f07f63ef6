namespace MLFramework.DemoModel;

/// <summary>
/// Rows of training tokens. <c>Start[t]</c> is the first row that row t may attend to: rows that share a start
/// form a segment, so several documents lie in one batch without seeing each other and without padding.
/// </summary>
internal sealed class Batch(int capacity)
{
    public int[] Tokens { get; } = new int[capacity];
    public int[] Targets { get; } = new int[capacity];
    public float[] LossWeights { get; } = new float[capacity];
    public int[] Start { get; } = new int[capacity];
    public int Capacity => capacity;
    public int Count { get; set; }
}

/// <summary>
/// Forward and backward pass of the decoder, by hand, for one thread. It reads the shared <see cref="Parameters"/>
/// and adds to its own gradient array; data-parallel training runs one instance per core.
/// </summary>
internal sealed class Transformer
{
    private const int LogitRows = 256;   // logits are produced and consumed in slices of this many rows
    private const int QueryRows = 96;    // attention scores are too

    private readonly Parameters _parameters;
    private readonly ModelConfig _config;
    private readonly RopeTable _rope;
    private readonly Saved[] _saved;
    private readonly int[] _positions, _rowsLearned;
    private readonly float[] _last, _lastNormed, _logits, _dx, _dNormed, _dq, _dk, _dv, _dAttention, _hidden, _dHidden, _scores, _dScores, _gathered;

    /// <summary>What the forward pass of a layer leaves behind for its backward pass.</summary>
    private sealed class Saved(ModelConfig c, int rows)
    {
        public readonly float[] Input = new float[rows * c.Dim], Normed = new float[rows * c.Dim];
        public readonly float[] Q = new float[rows * c.Dim], K = new float[rows * c.KvDim], V = new float[rows * c.KvDim];
        public readonly float[] LogSum = new float[rows * c.Heads], Attention = new float[rows * c.Dim];
        public readonly float[] Middle = new float[rows * c.Dim], MiddleNormed = new float[rows * c.Dim];
        public readonly float[] Gate = new float[rows * c.Ffn], Up = new float[rows * c.Ffn];
    }

    public Transformer(Parameters parameters, int maxRows)
    {
        _parameters = parameters;
        _config = _parameters.Config;
        _rope = new RopeTable(_config);
        _saved = [.. Enumerable.Range(0, _config.Layers).Select(_ => new Saved(_config, maxRows))];
        _positions = new int[maxRows];
        _rowsLearned = new int[maxRows];
        _gathered = new float[LogitRows * _config.Dim];
        _last = new float[maxRows * _config.Dim];
        _lastNormed = new float[maxRows * _config.Dim];
        _dx = new float[maxRows * _config.Dim];
        _dNormed = new float[maxRows * _config.Dim];
        _dq = new float[maxRows * _config.Dim];
        _dk = new float[maxRows * _config.KvDim];
        _dv = new float[maxRows * _config.KvDim];
        _dAttention = new float[maxRows * _config.Dim];
        _hidden = new float[maxRows * _config.Ffn];
        _dHidden = new float[maxRows * _config.Ffn];
        _logits = new float[LogitRows * _config.Vocab];
        _scores = new float[QueryRows * _config.Context];
        _dScores = new float[QueryRows * _config.Context];
        Gradient = new float[_parameters.Data.Length];
    }

    public float[] Gradient { get; }

    /// <summary>
    /// Adds the gradient of <c>lossScale * sum(weight * cross-entropy)</c> to <see cref="Gradient"/>;
    /// returns the weighted sum itself (unscaled).
    /// </summary>
    public double ForwardBackward(Batch batch, float lossScale)
    {
        Forward(batch);
        double loss = LossAndOutputGradient(batch, lossScale);
        Backward(batch);
        return loss;
    }

    /// <summary>The weighted loss alone (for validation and gradient checks).</summary>
    public double Loss(Batch batch)
    {
        Forward(batch);
        return LossAndOutputGradient(batch, 0f);
    }

    private void Forward(Batch batch)
    {
        int n = batch.Count, d = _config.Dim, kv = _config.KvDim, f = _config.Ffn;
        float[] w = _parameters.Data;
        for (int t = 0; t < n; t++)
        {
            _positions[t] = t - batch.Start[t];
            w.AsSpan(_parameters.Embedding.Offset + batch.Tokens[t] * d, d).CopyTo(_saved[0].Input.AsSpan(t * d));
        }

        for (int l = 0; l < _config.Layers; l++)
        {
            LayerWeights layer = _parameters.Layers[l];
            Saved s = _saved[l];
            float[] output = l + 1 < _config.Layers ? _saved[l + 1].Input : _last;

            Kernels.RmsNorm(s.Input.AsSpan(0, n * d), layer.AttnNorm.Of(w), _config.NormEps, s.Normed);
            Linear(n, s.Normed, layer.Q, s.Q);
            Linear(n, s.Normed, layer.K, s.K);
            Linear(n, s.Normed, layer.V, s.V);
            Kernels.Rope(s.Q, d, _config.HeadDim, _rope, _positions.AsSpan(0, n), 1);
            Kernels.Rope(s.K, kv, _config.HeadDim, _rope, _positions.AsSpan(0, n), 1);
            Attention(batch, s);

            s.Input.AsSpan(0, n * d).CopyTo(s.Middle);
            Linear(n, s.Attention, layer.O, s.Middle, accumulate: true);
            Kernels.RmsNorm(s.Middle.AsSpan(0, n * d), layer.FfnNorm.Of(w), _config.NormEps, s.MiddleNormed);
            Linear(n, s.MiddleNormed, layer.Gate, s.Gate);
            Linear(n, s.MiddleNormed, layer.Up, s.Up);
            Kernels.SwiGlu(s.Gate.AsSpan(0, n * f), s.Up.AsSpan(0, n * f), _hidden);
            s.Middle.AsSpan(0, n * d).CopyTo(output);
            Linear(n, _hidden, layer.Down, output, accumulate: true);
        }
        Kernels.RmsNorm(_last.AsSpan(0, n * d), _parameters.OutputNorm.Of(w), _config.NormEps, _lastNormed);
    }

    /// <summary>
    /// Softmax cross-entropy, in slices of the rows that have a weight;
    /// leaves the gradient of the final norm's output in dNormed.
    /// </summary>
    private double LossAndOutputGradient(Batch batch, float lossScale)
    {
        int d = _config.Dim, vocab = _config.Vocab, learned = 0;
        Weight embedding = _parameters.Embedding;
        for (int t = 0; t < batch.Count; t++)
            if (batch.LossWeights[t] > 0) _rowsLearned[learned++] = t;

        double loss = 0;
        _dNormed.AsSpan(0, batch.Count * d).Clear();
        for (int first = 0; first < learned; first += LogitRows)
        {
            ReadOnlySpan<int> rows = _rowsLearned.AsSpan(first, Math.Min(LogitRows, learned - first));
            for (int r = 0; r < rows.Length; r++) _lastNormed.AsSpan(rows[r] * d, d).CopyTo(_gathered.AsSpan(r * d));
            Gemm.Run(rows.Length, vocab, d, new Mat(_gathered, d), embedding.View(_parameters.Data).T, _logits, vocab);
            for (int r = 0; r < rows.Length; r++)
            {
                Span<float> row = _logits.AsSpan(r * vocab, vocab);
                int target = batch.Targets[rows[r]];
                float weight = batch.LossWeights[rows[r]], targetLogit = row[target];
                loss += weight * (Kernels.Softmax(row) - targetLogit);
                row[target] -= 1f;
                Kernels.Scale(row, weight * lossScale);
            }
            if (lossScale == 0f) continue;
            var dLogits = new Mat(_logits, vocab);
            Gemm.Run(vocab, d, rows.Length, dLogits.T, new Mat(_gathered, d), embedding.Of(Gradient), d, accumulate: true);
            Gemm.Run(rows.Length, d, vocab, dLogits, embedding.View(_parameters.Data), _gathered, d);
            for (int r = 0; r < rows.Length; r++) _gathered.AsSpan(r * d, d).CopyTo(_dNormed.AsSpan(rows[r] * d));
        }
        return loss;
    }

    private void Backward(Batch batch)
    {
        int n = batch.Count, d = _config.Dim, kv = _config.KvDim, f = _config.Ffn;
        float[] w = _parameters.Data;
        _dx.AsSpan(0, n * d).Clear();
        Kernels.RmsNormBackward(_last.AsSpan(0, n * d), _parameters.OutputNorm.Of(w), _config.NormEps, _dNormed, _dx, _parameters.OutputNorm.Of(Gradient));

        for (int l = _config.Layers - 1; l >= 0; l--)
        {
            LayerWeights layer = _parameters.Layers[l];
            Saved s = _saved[l];

            // dx is the gradient of the layer's output: it flows through the feed-forward block and around it.
            Kernels.SwiGlu(s.Gate.AsSpan(0, n * f), s.Up.AsSpan(0, n * f), _hidden);
            LinearBackward(n, _hidden, layer.Down, _dx, _dHidden);
            Kernels.SwiGluBackward(s.Gate.AsSpan(0, n * f), s.Up.AsSpan(0, n * f), _dHidden);
            LinearBackward(n, s.MiddleNormed, layer.Gate, s.Gate, _dNormed);
            LinearBackward(n, s.MiddleNormed, layer.Up, s.Up, _dNormed, accumulate: true);
            Kernels.RmsNormBackward(s.Middle.AsSpan(0, n * d), layer.FfnNorm.Of(w), _config.NormEps, _dNormed, _dx, layer.FfnNorm.Of(Gradient));

            // Now dx is the gradient of the residual stream after attention.
            LinearBackward(n, s.Attention, layer.O, _dx, _dAttention);
            AttentionBackward(batch, s);
            Kernels.Rope(_dq, d, _config.HeadDim, _rope, _positions.AsSpan(0, n), -1);
            Kernels.Rope(_dk, kv, _config.HeadDim, _rope, _positions.AsSpan(0, n), -1);
            LinearBackward(n, s.Normed, layer.Q, _dq, _dNormed);
            LinearBackward(n, s.Normed, layer.K, _dk, _dNormed, accumulate: true);
            LinearBackward(n, s.Normed, layer.V, _dv, _dNormed, accumulate: true);
            Kernels.RmsNormBackward(s.Input.AsSpan(0, n * d), layer.AttnNorm.Of(w), _config.NormEps, _dNormed, _dx, layer.AttnNorm.Of(Gradient));
        }

        for (int t = 0; t < n; t++)
            Kernels.Add(Gradient.AsSpan(_parameters.Embedding.Offset + batch.Tokens[t] * d, d), _dx.AsSpan(t * d, d));
    }

    /// <summary>y = x * W^T.</summary>
    private void Linear(int rows, float[] x, Weight weight, float[] y, bool accumulate = false) =>
        Gemm.Run(rows, weight.Rows, weight.Cols, new Mat(x, weight.Cols), weight.View(_parameters.Data).T, y, weight.Rows, accumulate);

    /// <summary>dx = dy * W and dW += dy^T * x.</summary>
    private void LinearBackward(int rows, float[] x, Weight weight, float[] dy, float[] _dx, bool accumulate = false)
    {
        Gemm.Run(rows, weight.Cols, weight.Rows, new Mat(dy, weight.Rows), weight.View(_parameters.Data), _dx, weight.Cols, accumulate);
        Gemm.Run(weight.Rows, weight.Cols, rows, new Mat(dy, weight.Rows).T, new Mat(x, weight.Cols), weight.Of(Gradient), weight.Cols, accumulate: true);
    }

    /// <summary>Causal attention within each segment, in slices of query rows, one head at a time.</summary>
    private void Attention(Batch batch, Saved s)
    {
        int d = _config.Dim, kv = _config.KvDim, hd = _config.HeadDim;
        foreach ((int from, int to) in Slices(batch))
        {
            int start = batch.Start[from], rows = to - from, keys = to - start;
            for (int head = 0; head < _config.Heads; head++)
            {
                int q = from * d + head * hd, k = start * kv + head / (_config.Heads / _config.KvHeads) * hd;
                Scores(s, q, k, rows, keys);
                for (int r = 0; r < rows; r++)
                {
                    int visible = from + r - start + 1;
                    Span<float> row = _scores.AsSpan(r * keys, keys);
                    s.LogSum[(from + r) * _config.Heads + head] = Kernels.Softmax(row[..visible]);
                    row[visible..].Clear();
                }
                Gemm.Run(rows, hd, keys, new Mat(_scores, keys), new Mat(s.V.AsSpan(k), kv), s.Attention.AsSpan(q), d);
            }
        }
    }

    private void AttentionBackward(Batch batch, Saved s)
    {
        int d = _config.Dim, kv = _config.KvDim, hd = _config.HeadDim;
        float scale = 1f / MathF.Sqrt(hd);
        _dk.AsSpan(0, batch.Count * kv).Clear();
        _dv.AsSpan(0, batch.Count * kv).Clear();
        foreach ((int from, int to) in Slices(batch))
        {
            int start = batch.Start[from], rows = to - from, keys = to - start;
            for (int head = 0; head < _config.Heads; head++)
            {
                int q = from * d + head * hd, k = start * kv + head / (_config.Heads / _config.KvHeads) * hd;
                Mat dOut = new(_dAttention.AsSpan(q), d);

                // The probabilities are recomputed from the saved log-sums rather than stored.
                Scores(s, q, k, rows, keys);
                for (int r = 0; r < rows; r++)
                {
                    int visible = from + r - start + 1;
                    Span<float> row = _scores.AsSpan(r * keys, keys);
                    Kernels.ExpMinus(row[..visible], s.LogSum[(from + r) * _config.Heads + head]);
                    row[visible..].Clear();
                }
                Mat p = new(_scores, keys);
                Gemm.Run(keys, hd, rows, p.T, dOut, _dv.AsSpan(k), kv, accumulate: true);
                Gemm.Run(rows, keys, hd, dOut, new Mat(s.V.AsSpan(k), kv).T, _dScores, keys);
                for (int r = 0; r < rows; r++)
                {
                    Span<float> row = _dScores.AsSpan(r * keys, keys);
                    // sum over keys of p * dp equals the dot product of the output and its gradient
                    float mean = Kernels.Dot(_dAttention.AsSpan(q + r * d, hd), s.Attention.AsSpan(q + r * d, hd));
                    ReadOnlySpan<float> probabilities = _scores.AsSpan(r * keys, keys);
                    for (int j = 0; j < row.Length; j++) row[j] = probabilities[j] * (row[j] - mean) * scale;
                }
                Mat ds = new(_dScores, keys);
                Gemm.Run(rows, hd, keys, ds, new Mat(s.K.AsSpan(k), kv), _dq.AsSpan(q), d);
                Gemm.Run(keys, hd, rows, ds.T, new Mat(s.Q.AsSpan(q), d), _dk.AsSpan(k), kv, accumulate: true);
            }
        }
    }

    /// <summary>scores[rows, keys] = Q K^T / sqrt(head_dim) for one head, starting at the given offsets.</summary>
    private void Scores(Saved s, int q, int k, int rows, int keys)
    {
        Gemm.Run(rows, keys, _config.HeadDim, new Mat(s.Q.AsSpan(q), _config.Dim), new Mat(s.K.AsSpan(k), _config.KvDim).T, _scores, keys);
        Kernels.Scale(_scores.AsSpan(0, rows * keys), 1f / MathF.Sqrt(_config.HeadDim));
    }

    /// <summary>Cuts the batch into runs of query rows that share a segment.</summary>
    private static IEnumerable<(int From, int To)> Slices(Batch batch)
    {
        for (int from = 0; from < batch.Count;)
        {
            int to = from + 1;
            while (to < batch.Count && to - from < QueryRows && batch.Start[to] == batch.Start[from]) to++;
            yield return (from, to);
            from = to;
        }
    }
}
