namespace MLFramework.Cpu.Tests;

/// <summary>A model of random weights with a vocabulary of bytes, as a GGUF file that llama.cpp reads too.</summary>
/// <param name="Architecture">Its family: one of <see cref="Architectures"/>.</param>
internal sealed record SyntheticModel(string Architecture)
{
    public const int VocabularySize = 259;

    /// <summary>The families that there are random models of.</summary>
    public static string[] Architectures { get; } = ["llama", "qwen2", "qwen3", "gemma3", "phi3"];

    /// <summary>Type of its matrices.</summary>
    public TensorType Type { get; init; } = TensorType.F32;

    /// <summary>Types of single matrices by their names, in place of <see cref="Type"/>; null for none.</summary>
    public Func<string, TensorType>? TypeOf { get; init; }

    public int Layers { get; init; } = 2;

    public int Embedding { get; init; } = 32;

    public int Inner { get; init; } = 96;

    public int Heads { get; init; } = 4;

    public int KVHeads { get; init; } = 2;

    public int HeadLength { get; init; } = 8;

    public int Context { get; init; } = 64;

    /// <summary>Positions that a layer sees, where the family knows windows; 0 for none.</summary>
    public int Window { get; init; }

    /// <summary>Whether the embeddings are the output matrix too.</summary>
    public bool IsTied { get; init; }

    /// <summary>Whether queries, keys and values stand in one tensor; in phi3 they always do.</summary>
    public bool HasFusedQkv { get; init; } = Architecture == "phi3";

    /// <summary>Whether queries, keys and values have biases; in qwen2 they always do.</summary>
    public bool HasQkvBias { get; init; } = Architecture == "qwen2";

    /// <summary>Where the random numbers begin.</summary>
    public int Seed { get; init; }

    /// <summary>A tensor to leave out.</summary>
    public string? Skip { get; init; }

    /// <summary>A vector of half a head to add.</summary>
    public string? Extra { get; init; }

    /// <summary>Changes the metadata before they are written.</summary>
    public Action<Dictionary<string, object>>? Change { get; init; }

    /// <summary>The file's bytes.</summary>
    public byte[] Write()
    {
        using var stream = new MemoryStream();
        Write(stream);
        return stream.ToArray();
    }

    /// <summary>Writes the file.</summary>
    public void Write(Stream stream)
    {
        var writer = new GgufWriter();
        foreach ((string key, object value) in Metadata())
        {
            if (value is bool[] flags) writer.AddArray(key, flags);
            else writer.Add(key, value is >= 0 and int number ? (uint)number : value); // llama.cpp insists on unsigned ones
        }
        writer.AddArray("tokenizer.ggml.tokens", (string[])["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>")]);
        writer.AddArray("tokenizer.ggml.scores", new float[VocabularySize]);
        writer.AddArray("tokenizer.ggml.token_type", (int[])[2, 3, 3, .. Enumerable.Repeat(6, 256)]);

        int seed = Seed;
        foreach (Tensor tensor in Tensors())
        {
            float[] values = Normal((int)tensor.Dimensions.Aggregate((a, b) => a * b), ++seed);
            if (tensor.Name == Skip) continue;
            for (int i = 0; i < values.Length; i++) values[i] = tensor.Center + tensor.Spread * values[i];
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Dimensions, values.AsSpan());
        }
        writer.Write(stream);
    }

    private static float[] Normal(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    private Dictionary<string, object> Metadata()
    {
        var metadata = new Dictionary<string, object>
        {
            ["general.architecture"] = Architecture,
            [$"{Architecture}.block_count"] = Layers,
            [$"{Architecture}.embedding_length"] = Embedding,
            [$"{Architecture}.feed_forward_length"] = Inner,
            [$"{Architecture}.attention.head_count"] = Heads,
            [$"{Architecture}.attention.head_count_kv"] = KVHeads,
            [$"{Architecture}.attention.key_length"] = HeadLength,
            [$"{Architecture}.attention.value_length"] = HeadLength,
            [$"{Architecture}.attention.layer_norm_rms_epsilon"] = 1e-5f,
            [$"{Architecture}.context_length"] = Context,
            ["tokenizer.ggml.model"] = "llama",
            ["tokenizer.ggml.bos_token_id"] = 1,
            ["tokenizer.ggml.eos_token_id"] = 2,
        };
        if (Window > 0) metadata[$"{Architecture}.attention.sliding_window"] = Window;
        if (Architecture == "gemma3")
        {
            metadata["gemma3.rope.freq_base"] = 1_000_000f;
            metadata["gemma3.rope.scaling.type"] = "linear";
            metadata["gemma3.rope.scaling.factor"] = 8f;
        }
        if (Architecture == "phi3")
        {
            metadata["phi3.rope.dimension_count"] = RotaryLength;
            metadata["phi3.rope.scaling.original_context_length"] = Context / 4;
            metadata["phi3.rope.scaling.attn_factor"] = 1.19f;
        }
        Change?.Invoke(metadata);
        return metadata;
    }

    /// <summary>In phi3 a part of a head can stay as it is.</summary>
    private int RotaryLength => Architecture == "phi3" ? HeadLength / 4 * 3 : HeadLength;

    private IEnumerable<Tensor> Tensors()
    {
        int queries = Heads * HeadLength, keys = KVHeads * HeadLength;
        Tensor Matrix(string name, int rows, int columns) => new(name, TypeOf?.Invoke(name) ?? Type, 0, 1 / MathF.Sqrt(columns), columns, rows);
        Tensor Norm(string name, int length) => new(name, TensorType.F32, 1, 0.1f, length);
        Tensor Bias(string name, int length) => new(name, TensorType.F32, 0, 1, length);
        Tensor Factors(string name, float center) => new(name, TensorType.F32, center, 0.1f * center, RotaryLength / 2);

        // In gemma3 a factor makes them large.
        yield return new Tensor("token_embd.weight", TypeOf?.Invoke("token_embd.weight") ?? Type, 0, Architecture == "gemma3" ? 1 / MathF.Sqrt(Embedding) : 1, Embedding, VocabularySize);
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            yield return Norm(prefix + "attn_norm.weight", Embedding);
            if (HasFusedQkv)
            {
                yield return Matrix(prefix + "attn_qkv.weight", queries + 2 * keys, Embedding);
            }
            else
            {
                yield return Matrix(prefix + "attn_q.weight", queries, Embedding);
                yield return Matrix(prefix + "attn_k.weight", keys, Embedding);
                yield return Matrix(prefix + "attn_v.weight", keys, Embedding);
            }
            if (HasQkvBias && HasFusedQkv)
            {
                yield return Bias(prefix + "attn_qkv.bias", queries + 2 * keys);
            }
            else if (HasQkvBias)
            {
                yield return Bias(prefix + "attn_q.bias", queries);
                yield return Bias(prefix + "attn_k.bias", keys);
                yield return Bias(prefix + "attn_v.bias", keys);
            }
            if (Architecture is "qwen3" or "gemma3")
            {
                yield return Norm(prefix + "attn_q_norm.weight", HeadLength);
                yield return Norm(prefix + "attn_k_norm.weight", HeadLength);
            }
            yield return Matrix(prefix + "attn_output.weight", Embedding, queries);
            if (Architecture == "gemma3") yield return Norm(prefix + "post_attention_norm.weight", Embedding);
            yield return Norm(prefix + "ffn_norm.weight", Embedding);
            if (Architecture != "phi3") yield return Matrix(prefix + "ffn_gate.weight", Inner, Embedding);
            yield return Matrix(prefix + "ffn_up.weight", Architecture == "phi3" ? 2 * Inner : Inner, Embedding);
            yield return Matrix(prefix + "ffn_down.weight", Embedding, Inner);
            if (Architecture == "gemma3") yield return Norm(prefix + "post_ffw_norm.weight", Embedding);
        }
        if (Architecture == "phi3")
        {
            yield return Factors("rope_factors_long.weight", 2);
            yield return Factors("rope_factors_short.weight", 1);
        }
        yield return Norm("output_norm.weight", Embedding);
        if (!IsTied) yield return Matrix("output.weight", VocabularySize, Embedding);
        if (Extra is not null) yield return Factors(Extra, 1.5f);
    }

    private readonly record struct Tensor(string Name, TensorType Type, float Center, float Spread, params long[] Dimensions);
}
