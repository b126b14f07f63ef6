namespace MLFramework.Cpu;

/// <summary>A language model in memory, packed for the kernels of this machine. Immutable; several executors can share it.</summary>
public sealed class CpuModel : IDisposable
{
    private const string EmbeddingName = "token_embd.weight", OutputName = "output.weight", RotaryFactorsName = "rope_freqs.weight";

    private readonly GgufFile _file;
    private readonly GgufTensor _embedding;

    private CpuModel(GgufFile file, KernelSet kernels)
    {
        (_file, Kernels, Metadata) = (file, kernels, file.Metadata);
        var architecture = Cpu.Architecture.Of(file.Metadata);
        (Architecture, Name) = (architecture.Name, file.Metadata.FindString("general.name"));
        Tokenizer = Tokenizer.Load(file.Metadata);
        HyperParameters sizes = HyperParameters = HyperParameters.Read(file.Metadata, architecture.Name, Tokenizer.Vocabulary.Count);

        var reader = new WeightReader(file, kernels);
        _embedding = reader.Tensor(EmbeddingName, sizes.VocabularySize, sizes.EmbeddingLength);
        RotaryFrequencies = ReadRotaryFrequencies(reader, sizes);
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

    /// <summary>Radians per position of each rotary pair.</summary>
    internal double[] RotaryFrequencies { get; }

    internal AttentionShape AttentionShape => new(HyperParameters.Layers, HyperParameters.Heads, HyperParameters.KVHeads, HyperParameters.HeadLength);

    /// <summary>Loads a model: validates it, then packs its weights on all cores. The file stays mapped, for the embeddings.</summary>
    /// <param name="path">Path of a GGUF file; of a split model, of any of its files.</param>
    /// <exception cref="GgufException">The file is damaged, or its architecture, tokenizer or an option of it is not supported.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    /// <exception cref="OutOfMemoryException">The model does not fit into memory.</exception>
    public static CpuModel Load(string path) => Load(GgufFile.Open(path), KernelSet.Best);

    /// <summary>Loads a model from an opened file, which then belongs to the model.</summary>
    /// <inheritdoc cref="Load(string)" path="/exception"/>
    public static CpuModel Load(GgufFile file) => Load(file, KernelSet.Best);

    internal static CpuModel Load(GgufFile file, KernelSet kernels)
    {
        try
        {
            return new CpuModel(file, kernels);
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

    /// <summary>base^(−2i / width) for pair i; Llama 3.1 and later divide it by a factor of its own.</summary>
    private static double[] ReadRotaryFrequencies(WeightReader reader, HyperParameters sizes)
    {
        int pairs = sizes.RotaryLength / 2;
        float[]? factors = reader.Contains(RotaryFactorsName) ? reader.Vector(RotaryFactorsName, pairs) : null;
        return [.. Enumerable.Range(0, pairs).Select(i => sizes.RotaryScale * Math.Pow(sizes.RotaryBase, -2.0 * i / sizes.RotaryLength) / (factors?[i] ?? 1))];
    }
}
