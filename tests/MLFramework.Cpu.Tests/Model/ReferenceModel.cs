namespace MLFramework.Cpu.Tests;

/// <summary>The same models once more, in double precision and as plainly as possible: one sequence, computed from its first token.</summary>
internal sealed class ReferenceModel(GgufFile file)
{
    private readonly string _architecture = file.Metadata.GetString("general.architecture");

    /// <summary>Logits after the last token.</summary>
    public double[] Logits(int[] tokens) => LogitsFrom(tokens.Length - 1, tokens)[0];

    /// <summary>Logits after each token from a position on.</summary>
    public double[][] LogitsFrom(int position, int[] tokens)
    {
        int layers = Size("block_count"), embedding = Size("embedding_length"), heads = Size("attention.head_count"), kvHeads = Size("attention.head_count_kv");
        int head = embedding / heads;
        double[][] embeddings = Matrix("token_embd.weight"), rows = [.. tokens.Select(token => (double[])embeddings[token].Clone())];
        for (int layer = 0; layer < layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            double[][] normalized = [.. rows.Select(row => Normalize(row, prefix + "attn_norm.weight"))];
            double[][] queries = Project(normalized, prefix + "attn_q"), keys = Project(normalized, prefix + "attn_k"), values = Project(normalized, prefix + "attn_v");
            for (int i = 0; i < tokens.Length; i++)
            {
                Rotate(queries[i], head, i);
                Rotate(keys[i], head, i);
            }
            double[][] attended = [.. Enumerable.Range(0, tokens.Length).Select(i => Attend(queries[i], keys, values, i, heads, kvHeads, head))];
            Add(rows, Project(attended, prefix + "attn_output"));
            normalized = [.. rows.Select(row => Normalize(row, prefix + "ffn_norm.weight"))];
            double[][] gate = Project(normalized, prefix + "ffn_gate"), up = Project(normalized, prefix + "ffn_up");
            Add(rows, Project([.. gate.Zip(up, (g, u) => g.Zip(u, (a, b) => a / (1 + Math.Exp(-a)) * b).ToArray())], prefix + "ffn_down"));
        }
        double[][] output = file.FindTensor("output.weight") is null ? embeddings : Matrix("output.weight");
        return [.. rows[position..].Select(row => Normalize(row, "output_norm.weight")).Select(last => output.Select(row => Dot(row, last)).ToArray())];
    }

    private static double[] Attend(double[] query, double[][] keys, double[][] values, int position, int heads, int kvHeads, int length)
    {
        var result = new double[heads * length];
        for (int head = 0; head < heads; head++)
        {
            int from = head * length, kvFrom = head / (heads / kvHeads) * length;
            double[] scores = [.. Enumerable.Range(0, position + 1).Select(p => Enumerable.Range(0, length).Sum(i => query[from + i] * keys[p][kvFrom + i]) / Math.Sqrt(length))];
            double largest = scores.Max();
            double[] weights = [.. scores.Select(score => Math.Exp(score - largest))];
            double total = weights.Sum();
            for (int i = 0; i < length; i++) result[from + i] = weights.Select((weight, p) => weight * values[p][kvFrom + i]).Sum() / total;
        }
        return result;
    }

    /// <summary>Rotates all heads of a row: neighbours for llama, halves for qwen2.</summary>
    private void Rotate(double[] row, int head, int position)
    {
        double[]? factors = file.FindTensor("rope_freqs.weight") is null ? null : Matrix("rope_freqs.weight")[0];
        double frequencyBase = file.Metadata.FindSingle($"{_architecture}.rope.freq_base") ?? 10_000, scale = file.Metadata.FindSingle($"{_architecture}.rope.scaling.factor") ?? 1;
        for (int start = 0; start < row.Length; start += head)
            for (int pair = 0; pair < head / 2; pair++)
            {
                (int a, int b) = _architecture == "llama" ? (start + 2 * pair, start + 2 * pair + 1) : (start + pair, start + head / 2 + pair);
                (double sine, double cosine) = Math.SinCos(position / scale * Math.Pow(frequencyBase, -2.0 * pair / head) / (factors?[pair] ?? 1));
                (row[a], row[b]) = (row[a] * cosine - row[b] * sine, row[a] * sine + row[b] * cosine);
            }
    }

    private double[] Normalize(double[] row, string weight)
    {
        double[] weights = Matrix(weight)[0];
        double root = Math.Sqrt(row.Sum(x => x * x) / row.Length + file.Metadata.GetSingle($"{_architecture}.attention.layer_norm_rms_epsilon"));
        return [.. row.Zip(weights, (x, w) => x / root * w)];
    }

    private double[][] Project(double[][] rows, string name)
    {
        double[][] matrix = Matrix(name + ".weight");
        double[]? bias = file.FindTensor(name + ".bias") is null ? null : Matrix(name + ".bias")[0];
        return [.. rows.Select(row => matrix.Select((weights, i) => Dot(weights, row) + (bias?[i] ?? 0)).ToArray())];
    }

    private double[][] Matrix(string name)
    {
        GgufTensor tensor = file.GetTensor(name);
        var values = new float[tensor.ElementCount];
        file.Dequantize(tensor, 0, values);
        return [.. values.Chunk(tensor.RowLength).Select(row => row.Select(value => (double)value).ToArray())];
    }

    private int Size(string name) => file.Metadata.GetInt32($"{_architecture}.{name}");

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
