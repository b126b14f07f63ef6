namespace MLFramework.DemoModel;

/// <summary>Greedy generation for a group of prompts at once, with a KV cache per prompt. For evaluation only.</summary>
internal sealed class Decoder(Parameters parameters)
{
    private readonly ModelConfig _config = parameters.Config;
    private readonly RopeTable _rope = new(parameters.Config);

    /// <summary>
    /// Continues every prompt until <paramref name="limit"/> new tokens, an end-of-text or an end-of-message token;
    /// the end token is part of the result.
    /// </summary>
    public List<int>[] Generate(IReadOnlyList<int[]> prompts, int limit, bool stop = true)
    {
        int n = prompts.Count, d = _config.Dim, kv = _config.KvDim, f = _config.Ffn, longest = Math.Min(_config.Context, prompts.Max(p => p.Length) + limit);
        var results = new List<int>[n];
        for (int i = 0; i < n; i++) results[i] = [];
        var keys = new float[_config.Layers * n * longest * kv];
        var values = new float[keys.Length];
        float[] x = new float[n * d], normed = new float[n * d], q = new float[n * d], k = new float[n * kv], v = new float[n * kv];
        float[] mixed = new float[n * d], gate = new float[n * f], up = new float[n * f], logits = new float[n * _config.Vocab], scores = new float[longest];
        int[] positions = new int[n];

        // All prompts advance together, one token per step: first those of the prompt, then the generated ones.
        List<int> active = [.. Enumerable.Range(0, n)];
        for (int position = 0; position < longest && active.Count > 0; position++)
        {
            int rows = active.Count;
            for (int r = 0; r < rows; r++)
            {
                int[] prompt = prompts[active[r]];
                int token = position < prompt.Length ? prompt[position] : results[active[r]][position - prompt.Length];
                parameters.Data.AsSpan(parameters.Embedding.Offset + token * d, d).CopyTo(x.AsSpan(r * d));
            }
            positions.AsSpan().Fill(position);

            for (int l = 0; l < _config.Layers; l++)
            {
                LayerWeights layer = parameters.Layers[l];
                Kernels.RmsNorm(x.AsSpan(0, rows * d), layer.AttnNorm.Of(parameters.Data), _config.NormEps, normed);
                Linear(rows, normed, layer.Q, q);
                Linear(rows, normed, layer.K, k);
                Linear(rows, normed, layer.V, v);
                Kernels.Rope(q, d, _config.HeadDim, _rope, positions.AsSpan(0, rows), 1);
                Kernels.Rope(k, kv, _config.HeadDim, _rope, positions.AsSpan(0, rows), 1);
                for (int r = 0; r < rows; r++)
                {
                    int cache = (l * n + active[r]) * longest * kv;
                    k.AsSpan(r * kv, kv).CopyTo(keys.AsSpan(cache + position * kv));
                    v.AsSpan(r * kv, kv).CopyTo(values.AsSpan(cache + position * kv));
                    Attend(q.AsSpan(r * d, d), keys.AsSpan(cache), values.AsSpan(cache), scores.AsSpan(0, position + 1), mixed.AsSpan(r * d, d));
                }
                Linear(rows, mixed, layer.O, x, accumulate: true);
                Kernels.RmsNorm(x.AsSpan(0, rows * d), layer.FfnNorm.Of(parameters.Data), _config.NormEps, normed);
                Linear(rows, normed, layer.Gate, gate);
                Linear(rows, normed, layer.Up, up);
                Kernels.SwiGlu(gate.AsSpan(0, rows * f), up.AsSpan(0, rows * f), gate);
                Linear(rows, gate, layer.Down, x, accumulate: true);
            }
            Kernels.RmsNorm(x.AsSpan(0, rows * d), parameters.OutputNorm.Of(parameters.Data), _config.NormEps, normed);
            Linear(rows, normed, parameters.Embedding, logits);

            for (int r = rows - 1; r >= 0; r--)
            {
                int i = active[r];
                if (position + 1 < prompts[i].Length) continue;
                int best = ArgMax(logits.AsSpan(r * _config.Vocab, _config.Vocab));
                results[i].Add(best);
                if (results[i].Count == limit || (stop && best is (BpeTokenizer.EndOfTextId or BpeTokenizer.ImEndId))) active.RemoveAt(r);
            }
        }
        return results;
    }

    private void Attend(ReadOnlySpan<float> q, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, Span<float> scores, Span<float> result)
    {
        int hd = _config.HeadDim, kv = _config.KvDim;
        float scale = 1f / MathF.Sqrt(hd);
        result.Clear();
        for (int head = 0; head < _config.Heads; head++)
        {
            int at = head / (_config.Heads / _config.KvHeads) * hd;
            for (int t = 0; t < scores.Length; t++) scores[t] = scale * Kernels.Dot(q.Slice(head * hd, hd), keys.Slice(t * kv + at, hd));
            Kernels.Softmax(scores);
            for (int t = 0; t < scores.Length; t++)
                for (int i = 0; i < hd; i++) result[head * hd + i] += scores[t] * values[t * kv + at + i];
        }
    }

    private void Linear(int rows, float[] x, Weight weight, float[] y, bool accumulate = false) =>
        Gemm.Run(rows, weight.Rows, weight.Cols, new Mat(x, weight.Cols), weight.View(parameters.Data).T, y, weight.Rows, accumulate);

    private static int ArgMax(ReadOnlySpan<float> x)
    {
        int best = 0;
        for (int i = 1; i < x.Length; i++)
            if (x[i] > x[best]) best = i;
        return best;
    }
}
