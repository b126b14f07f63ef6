namespace MLFramework.Cpu.Tests;

/// <summary>The same models once more, in double precision and as plainly as possible: one sequence, computed from its first token.</summary>
internal sealed class ReferenceModel(GgufFile file)
{
    private readonly string _architecture = file.Metadata.GetString("general.architecture");
    private readonly Dictionary<string, double[][]> _matrices = [];

    private int Layers => Size("block_count") ?? throw new InvalidOperationException();

    private int Heads => Size("attention.head_count") ?? throw new InvalidOperationException();

    private int KVHeads => Size("attention.head_count_kv") ?? Heads;

    private int Embedding => Size("embedding_length") ?? throw new InvalidOperationException();

    private int HeadLength => Size("attention.key_length") ?? Embedding / Heads;

    private double Scale => Number("attention.scale") ?? 1 / Math.Sqrt(_architecture == "gemma3" && Layers == 62 ? Embedding / Heads : HeadLength);

    /// <summary>Logits after the last token.</summary>
    public double[] Logits(int[] tokens) => LogitsFrom(tokens.Length - 1, tokens)[0];

    /// <summary>Logits after each token from a position on.</summary>
    public double[][] LogitsFrom(int position, int[] tokens)
    {
        double[][] output = Matrix(Has("output.weight") ? "output.weight" : "token_embd.weight");
        return [.. HiddenStates(tokens)[position..].Select(row => output.Select(weights => Cap(Dot(weights, row), Number("final_logit_softcapping"))).ToArray())];
    }

    /// <summary>Each token's state after the final normalization.</summary>
    public double[][] HiddenStates(int[] tokens)
    {
        double embeddingScale = _architecture == "gemma3" ? Math.Sqrt(Embedding) : 1;
        double[][] embeddings = Matrix("token_embd.weight"), rows = [.. tokens.Select(token => embeddings[token].Select(x => x * embeddingScale).ToArray())];
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            Add(rows, NormalizeIfHas(Attention(layer, Normalize(rows, prefix + "attn_norm")), prefix + "post_attention_norm"));
            Add(rows, NormalizeIfHas(FeedForward(prefix, Normalize(rows, prefix + "ffn_norm")), prefix + "post_ffw_norm"));
        }
        return Normalize(rows, "output_norm");
    }

    private double[][] Attention(int layer, double[][] rows)
    {
        string prefix = $"blk.{layer}.";
        double[][] queries, keys, values;
        if (Has(prefix + "attn_qkv.weight"))
        {
            double[][] all = Project(rows, prefix + "attn_qkv");
            int q = Heads * HeadLength, k = KVHeads * HeadLength;
            (queries, keys, values) = ([.. all.Select(row => row[..q])], [.. all.Select(row => row[q..(q + k)])], [.. all.Select(row => row[(q + k)..])]);
        }
        else
        {
            (queries, keys, values) = (Project(rows, prefix + "attn_q"), Project(rows, prefix + "attn_k"), Project(rows, prefix + "attn_v"));
        }
        for (int position = 0; position < rows.Length; position++)
        {
            NormalizeHeads(queries[position], prefix + "attn_q_norm.weight");
            NormalizeHeads(keys[position], prefix + "attn_k_norm.weight");
            Rotate(queries[position], layer, position);
            Rotate(keys[position], layer, position);
        }
        return Project([.. rows.Select((_, position) => Attend(queries[position], keys, values, FirstSeen(layer, position), position))], prefix + "attn_output");
    }

    private double[] Attend(double[] query, double[][] keys, double[][] values, int first, int position)
    {
        int length = HeadLength;
        var result = new double[Heads * length];
        for (int head = 0; head < Heads; head++)
        {
            int from = head * length, kvFrom = head / (Heads / KVHeads) * length;
            var weights = new double[position + 1];
            for (int p = first; p <= position; p++)
            {
                for (int i = 0; i < length; i++) weights[p] += query[from + i] * keys[p][kvFrom + i];
                weights[p] = Cap(weights[p] * Scale, Number("attn_logit_softcapping"));
            }
            double largest = weights[first..].Max(), sum = 0;
            for (int p = first; p <= position; p++) sum += weights[p] = Math.Exp(weights[p] - largest);
            for (int p = first; p <= position; p++)
                for (int i = 0; i < length; i++) result[from + i] += weights[p] / sum * values[p][kvFrom + i];
        }
        return result;
    }

    private double[][] FeedForward(string prefix, double[][] rows)
    {
        double[][] gate, up;
        if (_architecture == "phi3")
        {
            double[][] both = Project(rows, prefix + "ffn_up");
            (gate, up) = ([.. both.Select(row => row[..(row.Length / 2)])], [.. both.Select(row => row[(row.Length / 2)..])]);
        }
        else
        {
            (gate, up) = (Project(rows, prefix + "ffn_gate"), Project(rows, prefix + "ffn_up"));
        }
        Func<double, double> activation = _architecture == "gemma3"
            ? x => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)))
            : x => x / (1 + Math.Exp(-x));
        return Project([.. gate.Zip(up, (g, u) => g.Zip(u, (a, b) => activation(a) * b).ToArray())], prefix + "ffn_down");
    }

    /// <summary>Five local layers, then a global one, in gemma3, unless the file says otherwise; elsewhere a window is one of all layers.</summary>
    private bool HasWindow(int layer)
    {
        if (Size("attention.sliding_window") is null or 0) return false;
        const string Pattern = "attention.sliding_window_pattern";
        if (file.Metadata.TryGet($"{_architecture}.{Pattern}", out GgufValue? value) && value.Content is bool[] each) return each[layer];
        int period = Size(Pattern) ?? (_architecture == "gemma3" ? 6 : 0);
        return period == 0 || (layer + 1) % period != 0;
    }

    private int FirstSeen(int layer, int position) => HasWindow(layer) ? Math.Max(0, position + 1 - Size("attention.sliding_window")!.Value) : 0;

    /// <summary>Rotates all heads of a row: neighbours for llama, halves elsewhere.</summary>
    private void Rotate(double[] row, int layer, int position)
    {
        int head = HeadLength, width = Size("rope.dimension_count") ?? head;
        bool isLocal = _architecture == "gemma3" && HasWindow(layer);
        (double[] angles, double magnitude) = isLocal
            ? (Angles(width, Number("rope.freq_base_swa") ?? 10_000), 1)
            : Scaled(Angles(width, Number("rope.freq_base") ?? 10_000), width);
        for (int start = 0; start < row.Length; start += head)
            for (int pair = 0; pair < width / 2; pair++)
            {
                (int a, int b) = _architecture == "llama" ? (start + 2 * pair, start + 2 * pair + 1) : (start + pair, start + width / 2 + pair);
                (double sine, double cosine) = Math.SinCos(position * angles[pair]);
                (row[a], row[b]) = (magnitude * (row[a] * cosine - row[b] * sine), magnitude * (row[a] * sine + row[b] * cosine));
            }
    }

    private static double[] Angles(int width, double frequencyBase) => [.. Enumerable.Range(0, width / 2).Select(pair => Math.Pow(frequencyBase, -2.0 * pair / width))];

    private (double[] Angles, double Magnitude) Scaled(double[] angles, int width)
    {
        int context = Size("context_length")!.Value, original = Size("rope.scaling.original_context_length") ?? context;
        double factor = Number("rope.scaling.factor") ?? Number("rope.scale_linear") ?? 1, magnitude = Number("rope.scaling.attn_factor") ?? 1;
        string name = Has("rope_freqs.weight") ? "rope_freqs.weight" : $"rope_factors_{(context > original ? "long" : "short")}.weight";
        if (Has(name)) angles = [.. angles.Zip(Matrix(name)[0], (angle, divisor) => angle / divisor)];
        switch (file.Metadata.FindString($"{_architecture}.rope.scaling.type"))
        {
            case "none":
                return (angles, magnitude);
            case "yarn":
                double frequencyBase = Number("rope.freq_base") ?? 10_000;
                double PairTurning(double times) => width * Math.Log(original / (2 * Math.PI * times)) / (2 * Math.Log(frequencyBase));
                double low = Math.Max(Math.Floor(PairTurning(Number("rope.scaling.yarn_beta_fast") ?? 32)), 0);
                double high = Math.Min(Math.Ceiling(PairTurning(Number("rope.scaling.yarn_beta_slow") ?? 1)), width - 1);
                double Kept(int pair) => 1 - Math.Clamp((pair - low) / Math.Max(high - low, 0.001), 0, 1);
                return ([.. angles.Select((angle, pair) => Kept(pair) * angle + (1 - Kept(pair)) * angle / factor)], magnitude * (0.1 * Math.Log(factor) + 1));
            default:
                return ([.. angles.Select(angle => angle / factor)], magnitude);
        }
    }

    private double[][] NormalizeIfHas(double[][] rows, string name) => Has(name + ".weight") ? Normalize(rows, name) : rows;

    private double[][] Normalize(double[][] rows, string name) => [.. rows.Select(row => Normalized(row, Matrix(name + ".weight")[0]))];

    private void NormalizeHeads(double[] row, string name)
    {
        if (!Has(name)) return;
        for (int start = 0; start < row.Length; start += HeadLength) Normalized(row[start..(start + HeadLength)], Matrix(name)[0]).CopyTo(row, start);
    }

    private double[] Normalized(double[] row, double[] weights)
    {
        double root = Math.Sqrt(Dot(row, row) / row.Length + Number("attention.layer_norm_rms_epsilon")!.Value);
        return [.. row.Zip(weights, (x, w) => x / root * w)];
    }

    private double[][] Project(double[][] rows, string name)
    {
        double[][] matrix = Matrix(name + ".weight");
        double[]? bias = Has(name + ".bias") ? Matrix(name + ".bias")[0] : null;
        return [.. rows.Select(row => matrix.Select((weights, i) => Dot(weights, row) + (bias?[i] ?? 0)).ToArray())];
    }

    private double[][] Matrix(string name)
    {
        if (_matrices.TryGetValue(name, out double[][]? matrix)) return matrix;
        GgufTensor tensor = file.GetTensor(name);
        var values = new float[tensor.ElementCount];
        file.Dequantize(tensor, 0, values);
        return _matrices[name] = [.. values.Chunk(tensor.RowLength).Select(row => row.Select(value => (double)value).ToArray())];
    }

    private bool Has(string tensor) => file.FindTensor(tensor) is not null;

    private int? Size(string name) => file.Metadata.FindInt32($"{_architecture}.{name}");

    private double? Number(string name) => file.Metadata.FindSingle($"{_architecture}.{name}");

    private static double Cap(double value, double? bound) => bound is { } cap ? cap * Math.Tanh(value / cap) : value;

    private static double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    private static void Add(double[][] rows, double[][] addends)
    {
        for (int row = 0; row < rows.Length; row++)
            for (int i = 0; i < rows[row].Length; i++) rows[row][i] += addends[row][i];
    }
}
