namespace MLFramework.Cpu.Tests;

/// <summary>Random models of a few thousand weights, with a vocabulary of bytes.</summary>
internal static class TinyModels
{
    public const int Layers = 2, Embedding = 32, Inner = 96, Heads = 4, KVHeads = 2, HeadLength = 8, Context = 64, VocabularySize = 259;

    /// <summary>A model file.</summary>
    /// <param name="architecture">Its family.</param>
    /// <param name="type">Type of its matrices.</param>
    /// <param name="isTied">Whether the embeddings are the output matrix too.</param>
    /// <param name="change">Changes the metadata before they are written.</param>
    /// <param name="skip">A tensor to leave out.</param>
    /// <param name="extra">A tensor to add.</param>
    public static byte[] Write(
        string architecture = "llama", TensorType type = TensorType.F32, bool isTied = false, Action<Dictionary<string, object>>? change = null, string? skip = null, string? extra = null)
    {
        var metadata = new Dictionary<string, object>
        {
            ["general.architecture"] = architecture,
            [$"{architecture}.block_count"] = Layers,
            [$"{architecture}.embedding_length"] = Embedding,
            [$"{architecture}.feed_forward_length"] = Inner,
            [$"{architecture}.attention.head_count"] = Heads,
            [$"{architecture}.attention.head_count_kv"] = KVHeads,
            [$"{architecture}.attention.layer_norm_rms_epsilon"] = 1e-5f,
            [$"{architecture}.context_length"] = Context,
            ["tokenizer.ggml.model"] = "llama",
            ["tokenizer.ggml.bos_token_id"] = 1,
            ["tokenizer.ggml.eos_token_id"] = 2,
        };
        change?.Invoke(metadata);
        var writer = new GgufWriter();
        foreach ((string key, object value) in metadata) writer.Add(key, value);
        writer.AddArray("tokenizer.ggml.tokens", (string[])["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>")]);
        writer.AddArray("tokenizer.ggml.scores", new float[VocabularySize]);
        writer.AddArray("tokenizer.ggml.token_type", (int[])[2, 3, 3, .. Enumerable.Repeat(6, 256)]);

        int seed = 0;
        void Add(string name, TensorType tensorType, float center, float spread, params long[] dimensions)
        {
            seed++;
            if (name == skip) return;
            float[] values = [.. MatrixTests.Normal((int)dimensions.Aggregate((a, b) => a * b), seed).Select(v => center + spread * v)];
            writer.AddTensor(name, tensorType, dimensions, values.AsSpan());
        }
        void Matrix(string name, int rows, int columns) => Add(name, type, 0, 1 / MathF.Sqrt(columns), columns, rows);
        void Vector(string name, float center, float spread, int length) => Add(name, TensorType.F32, center, spread, length);

        Add("token_embd.weight", type, 0, 1, Embedding, VocabularySize);
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            Vector(prefix + "attn_norm.weight", 1, 0.1f, Embedding);
            Matrix(prefix + "attn_q.weight", Heads * HeadLength, Embedding);
            Matrix(prefix + "attn_k.weight", KVHeads * HeadLength, Embedding);
            Matrix(prefix + "attn_v.weight", KVHeads * HeadLength, Embedding);
            if (architecture == "qwen2")
            {
                Vector(prefix + "attn_q.bias", 0, 1, Heads * HeadLength);
                Vector(prefix + "attn_k.bias", 0, 1, KVHeads * HeadLength);
                Vector(prefix + "attn_v.bias", 0, 1, KVHeads * HeadLength);
            }
            Matrix(prefix + "attn_output.weight", Embedding, Heads * HeadLength);
            Vector(prefix + "ffn_norm.weight", 1, 0.1f, Embedding);
            Matrix(prefix + "ffn_gate.weight", Inner, Embedding);
            Matrix(prefix + "ffn_up.weight", Inner, Embedding);
            Matrix(prefix + "ffn_down.weight", Embedding, Inner);
        }
        Vector("output_norm.weight", 1, 0.1f, Embedding);
        if (!isTied) Matrix("output.weight", VocabularySize, Embedding);
        if (extra is not null) Vector(extra, 1.5f, 0.2f, HeadLength / 2);
        return TestModels.Write(writer);
    }

    public static CpuModel Load(byte[] file, KernelSet? kernels = null) => CpuModel.Load(GgufFile.FromMemory(file), kernels ?? KernelSet.Best);
}
