namespace MLFramework.Cpu;

/// <summary>A language model in memory, packed for the kernels of this machine. Immutable; several executors can share it.</summary>
public sealed class CpuModel : IDisposable
{
    private const string EmbeddingName = "token_embd.weight", OutputName = "output.weight";

    /// <summary>Null where the output matrix holds the embeddings too.</summary>
    private readonly EmbeddingTable? _embedding;
    private readonly PackedMatrix _output;

    private CpuModel(GgufFile file, KernelSet kernels, WeightReader reader, int? contextLength)
    {
        (Kernels, Metadata) = (kernels, file.Metadata);
        var architecture = Cpu.Architecture.Of(file.Metadata);
        (Architecture, Name) = (architecture.Name, file.Metadata.FindString("general.name"));
        Tokenizer = Tokenizer.Load(file.Metadata);
        HyperParameters sizes = HyperParameters.Read(file.Metadata, architecture, Tokenizer.Vocabulary.Count);
        if (contextLength is { } limit) sizes = sizes with { ContextLength = Math.Min(sizes.ContextLength, limit) };
        (HyperParameters, GateActivation) = (sizes, architecture.Activation);

        _embedding = reader.Contains(OutputName) ? reader.Table(EmbeddingName, sizes.VocabularySize, sizes.EmbeddingLength) : null;
        Rotary = new RotaryEmbedding(sizes.RotaryLength, sizes.RotaryBase, sizes.RotaryScaling, architecture.HasRotaryFactors ? ReadRotaryFactors(reader, sizes) : null);
        LocalRotary = sizes.LocalRotaryBase is { } localBase ? new RotaryEmbedding(sizes.RotaryLength, localBase) : null;
        Layers = new LayerWeights[sizes.Layers];
        for (int layer = 0; layer < Layers.Length; layer++) Layers[layer] = LayerWeights.Read(reader, layer, sizes, architecture);
        OutputNorm = reader.PaddedVector("output_norm.weight", sizes.EmbeddingLength);
        _output = reader.Matrix(_embedding is null ? EmbeddingName : OutputName, sizes.VocabularySize, sizes.EmbeddingLength);
        Output = new MatrixGroup(_output);
        reader.RefuseUnread();
        PackedBytes = Layers.Sum(layer => layer.Groups.Sum(group => group.Bytes)) + Output.Bytes;
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

    /// <summary>Bytes of the packed matrices, which a pass reads all of.</summary>
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

    /// <summary>
    /// Loads a model: validates it, then reads and packs its weights on all cores. The file is closed when it returns: what happens to it later does not
    /// matter to the model.
    /// </summary>
    /// <param name="path">Path of a GGUF file; of a split model, of any of its files.</param>
    /// <param name="contextLength">
    /// Most tokens that the model shall see, at least 2; null for as many as it can. Models that rotate short and long contexts differently (LongRoPE) are at
    /// their best with no more than the requests need.
    /// </param>
    /// <param name="progress">Told how far it has come, from the threads that load, one call at a time; null for nobody.</param>
    /// <param name="cancellationToken">Gives up; what was loaded is freed.</param>
    /// <exception cref="GgufException">The file is damaged, or its architecture, tokenizer or an option of it is not supported.</exception>
    /// <exception cref="IOException">The file cannot be read, or became shorter while it was.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    /// <exception cref="InsufficientMemoryException">The model is larger than the memory that is available; none was taken.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public static CpuModel Load(string path, int? contextLength = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Load(GgufFile.Open(path), contextLength, progress, cancellationToken);

    /// <summary>Loads a model from an opened file, and closes it.</summary>
    /// <inheritdoc cref="Load(string, int?, IProgress{LoadProgress}, CancellationToken)"/>
    public static CpuModel Load(GgufFile file, int? contextLength = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Load(file, KernelSet.Best, contextLength, HostMachine.This, progress, cancellationToken);

    internal static CpuModel Load(
        GgufFile file, KernelSet kernels, int? contextLength = null, HostMachine? machine = null, IProgress<LoadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        using GgufFile open = file;
        if (contextLength < 2) throw new ArgumentOutOfRangeException(nameof(contextLength), contextLength, "A context has at least 2 tokens.");
        using var reader = new WeightReader(file, kernels);
        machine ??= HostMachine.This;
        var model = new CpuModel(file, kernels, reader, contextLength);
        machine.RequireMemory(reader.PackedBytes, "the model's weights");
        reader.Pack(machine.CoreCount, progress, cancellationToken);
        reader.HandOver();
        return model;
    }

    /// <summary>Bytes of keys and values of one token, in all layers.</summary>
    /// <param name="type">How they are stored.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such type.</exception>
    public long KVBytesPerToken(KVElementType type) => PagedAttention.BytesPerToken(AttentionShape, type);

    /// <summary>Frees the weights. Not while an executor uses the model.</summary>
    public void Dispose()
    {
        foreach (LayerWeights layer in Layers) layer.Dispose();
        OutputNorm.Dispose();
        Output.Dispose();
        _embedding?.Dispose();
    }

    /// <summary>Reads the embedding of a token.</summary>
    internal void Embed(int token, Span<float> embedding)
    {
        if (_embedding is null) _output.ReadRow(token, embedding);
        else _embedding.ReadRow(token, embedding);
    }

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
