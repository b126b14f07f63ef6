namespace MLFramework.DemoModel;

/// <summary>The shape of a llama decoder with tied embeddings and no biases.</summary>
internal sealed record ModelConfig(
    int Vocab, int Dim = 256, int Layers = 4, int Heads = 8, int KvHeads = 4, int Ffn = 512, int Context = 512,
    float RopeBase = 10000f, float NormEps = 1e-5f)
{
    public int HeadDim => Dim / Heads;
    public int KvDim => KvHeads * HeadDim;
}

/// <summary>One named weight: <c>Rows x Cols</c>, row-major ([out, in], as GGUF stores it), inside the flat parameter array.</summary>
internal sealed record Weight(string Name, int Offset, int Rows, int Cols)
{
    public int Length => Rows * Cols;
    public bool IsMatrix => Rows > 1;
    public Span<float> Of(float[] flat) => flat.AsSpan(Offset, Length);
    public Mat View(float[] flat) => new(flat.AsSpan(Offset, Length), Cols);
}

/// <summary>The weights of one decoder layer.</summary>
internal sealed record LayerWeights(
    Weight AttnNorm, Weight Q, Weight K, Weight V, Weight O, Weight FfnNorm, Weight Gate, Weight Up, Weight Down);

/// <summary>
/// All weights in one flat array, so that gradients and optimizer moments are simply arrays of the same length.
/// Names follow GGUF.
/// </summary>
internal sealed class Parameters
{
    private readonly List<Weight> _all = [];

    public Parameters(ModelConfig config)
    {
        Config = config;
        int d = config.Dim, kv = config.KvDim, f = config.Ffn, next = 0;
        Weight Add(string name, int rows, int cols)
        {
            var weight = new Weight(name + ".weight", next, rows, cols);
            next += weight.Length;
            _all.Add(weight);
            return weight;
        }

        Embedding = Add("token_embd", config.Vocab, d);
        Layers = [.. Enumerable.Range(0, config.Layers).Select(i => new LayerWeights(
            Add($"blk.{i}.attn_norm", 1, d), Add($"blk.{i}.attn_q", d, d), Add($"blk.{i}.attn_k", kv, d),
            Add($"blk.{i}.attn_v", kv, d), Add($"blk.{i}.attn_output", d, d), Add($"blk.{i}.ffn_norm", 1, d),
            Add($"blk.{i}.ffn_gate", f, d), Add($"blk.{i}.ffn_up", f, d), Add($"blk.{i}.ffn_down", d, f)))];
        OutputNorm = Add("output_norm", 1, d);
        Data = new float[next];
    }

    public ModelConfig Config { get; }
    public Weight Embedding { get; }
    public LayerWeights[] Layers { get; }
    public Weight OutputNorm { get; }
    public float[] Data { get; }
    public IReadOnlyList<Weight> All => _all;

    /// <summary>Normal(0, 0.02) everywhere, smaller where a matrix writes to the residual stream; norms are one.</summary>
    public void Initialize(int seed)
    {
        var random = new Random(seed);
        float residual = 0.02f / MathF.Sqrt(2 * Config.Layers);
        foreach (Weight weight in _all)
        {
            Span<float> values = weight.Of(Data);
            if (!weight.IsMatrix) { values.Fill(1f); continue; }
            bool writes = weight.Name.Contains("attn_output") || weight.Name.Contains("ffn_down");
            foreach (ref float value in values) value = (writes ? residual : 0.02f) * (float)Normal(random);
        }
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
