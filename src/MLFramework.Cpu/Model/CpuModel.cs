namespace MLFramework.Cpu;

/// <summary>A language model in memory, packed for the kernels of this machine. Immutable; several executors can share it.</summary>
public sealed class CpuModel : IDisposable
{
    private const string EmbeddingName = "token_embd.weight", OutputName = "output.weight";

    private readonly GgufFile _file;
    private readonly GgufTensor _embedding;

    private CpuModel(GgufFile file, KernelSet kernels, int? contextLength)
    {
        (_file, Kernels, Metadata) = (file, kernels, file.Metadata);
        var architecture = Cpu.Architecture.Of(file.Metadata);
        (Architecture, Name) = (architecture.Name, file.Metadata.FindString("general.name"));
        Tokenizer = Tokenizer.Load(file.Metadata);
        HyperParameters sizes = HyperParameters.Read(file.Metadata, architecture, Tokenizer.Vocabulary.Count);
        if (contextLength is { } limit) sizes = sizes with { ContextLength = Math.Min(sizes.ContextLength, limit) };
        (HyperParameters, GateActivation) = (sizes, architecture.Activation);

        var reader = new WeightReader(file, kernels);
        _embedding = reader.Tensor(EmbeddingName, sizes.VocabularySize, sizes.EmbeddingLength);
        Rotary = new RotaryEmbedding(sizes.RotaryLength, sizes.RotaryBase, sizes.RotaryScaling, architecture.HasRotaryFactors ? ReadRotaryFactors(reader, sizes) : null);
        LocalRotary = sizes.LocalRotaryBase is { } localBase ? new RotaryEmbedding(sizes.RotaryLength, localBase) : null;
        Layers = new LayerWeights[sizes.Layers];
        for (int layer = 0; layer < Layers.Length; layer++) Layers[layer] = LayerWeights.Read(reader, layer, sizes, architecture);
        OutputNorm = reader.PaddedVector("output_norm.weight", sizes.EmbeddingLength);
        Output = new MatrixGroup(reader.Matrix(reader.Contains(OutputName) ? OutputName : EmbeddingName, sizes.VocabularySize, sizes.EmbeddingLength));
        reader.RefuseUnread();
        PackedBytes = Layers.Sum(layer => layer.QueryKeyValue.Bytes + layer.AttentionOutput.Bytes + layer.GateUp.Bytes + layer.Down.Bytes) + Output.Bytes;
    }

    /// <summary><c>general.name</c>, or null.</summary>
    public string? Name { get; }

    /// <summary><c>general.architecture</c>.</summary>
    public string Architecture { get; }

    /// <summary>Sizes and constants.</summary>
    public HyperParameters HyperParameters { get; }

    /// <summary>Turns text into the model's tokens and back.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>The file's metadata.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>Bytes of the packed matrices; the embeddings stay in the file.</summary>
    public long PackedBytes { get; }

    internal KernelSet Kernels { get; }

    internal LayerWeights[] Layers { get; }

    /// <summary>[embedding].</summary>
    internal NativeBuffer<float> OutputNorm { get; }

    /// <summary>[vocabulary, embedding].</summary>
    internal MatrixGroup Output { get; }

    internal GateActivation GateActivation { get; }

    /// <summary>How heads are rotated.</summary>
    internal RotaryEmbedding Rotary { get; }

    /// <summary>How heads are rotated in layers with a sliding window; null if as in all.</summary>
    internal RotaryEmbedding? LocalRotary { get; }

    internal AttentionShape AttentionShape => new(HyperParameters.Layers, HyperParameters.Heads, HyperParameters.KVHeads, HyperParameters.HeadLength);

    /// <summary>Loads a model: validates it, then packs its weights on all cores. The file stays mapped, for the embeddings.</summary>
    /// <param name="path">Path of a GGUF file; of a split model, of any of its files.</param>
    /// <param name="contextLength">
    /// Most tokens that the model shall see, at least 2; null for as many as it can. Models that rotate short and long contexts differently (LongRoPE) are at
    /// their best with no more than the requests need.
    /// </param>
    /// <exception cref="GgufException">The file is damaged, or its architecture, tokenizer or an option of it is not supported.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    /// <exception cref="OutOfMemoryException">The model does not fit into memory.</exception>
    public static CpuModel Load(string path, int? contextLength = null) => Load(GgufFile.Open(path), KernelSet.Best, contextLength);

    /// <summary>Loads a model from an opened file, which then belongs to the model.</summary>
    /// <inheritdoc cref="Load(string, int?)"/>
    public static CpuModel Load(GgufFile file, int? contextLength = null) => Load(file, KernelSet.Best, contextLength);

    internal static CpuModel Load(GgufFile file, KernelSet kernels, int? contextLength = null)
    {
        try
        {
            if (contextLength < 2) throw new ArgumentOutOfRangeException(nameof(contextLength), contextLength, "A context has at least 2 tokens.");
            return new CpuModel(file, kernels, contextLength);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Frees the weights. Not while an executor uses the model.</summary>
    public void Dispose()
    {
        foreach (LayerWeights layer in Layers) layer.Dispose();
        OutputNorm.Dispose();
        Output.Dispose();
        _file.Dispose();
    }

    /// <summary>Reads the embedding of a token.</summary>
    internal void Embed(int token, Span<float> embedding) => _file.Dequantize(_embedding, token, embedding);

    /// <summary>What each pair's frequency is divided by: one set of Llama 3.1 and later, or two of which the context decides (LongRoPE). Null for none.</summary>
    private static float[]? ReadRotaryFactors(WeightReader reader, HyperParameters sizes)
    {
        const string Always = "rope_freqs.weight", Short = "rope_factors_short.weight", Long = "rope_factors_long.weight";
        int pairs = sizes.RotaryLength / 2;
        if (reader.Contains(Always)) return reader.PositiveVector(Always, pairs);
        if (!reader.Contains(Short) && !reader.Contains(Long))
        {
            return sizes.RotaryScaling.Kind == RotaryScalingKind.LongRope ? reader.PositiveVector(Short, pairs) : null;
        }
        (float[] ofShort, float[] ofLong) = (reader.PositiveVector(Short, pairs), reader.PositiveVector(Long, pairs));
        return sizes.ContextLength > sizes.RotaryScaling.OriginalContext ? ofLong : ofShort;
    }
}
