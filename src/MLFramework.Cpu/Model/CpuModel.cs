namespace MLFramework.Cpu;

/// <summary>A language model in memory, packed for the kernels of this machine. Immutable; several executors can share it.</summary>
public sealed class CpuModel : IDisposable
{
    private const string EmbeddingName = "token_embd.weight", OutputName = "output.weight", RotaryFactorsName = "rope_freqs.weight";

    /// <summary>Null where the output matrix holds the embeddings too.</summary>
    private readonly EmbeddingTable? _embedding;
    private readonly PackedMatrix _output;

    private CpuModel(GgufFile file, KernelSet kernels, WeightReader reader)
    {
        (Kernels, Metadata) = (kernels, file.Metadata);
        var architecture = Cpu.Architecture.Of(file.Metadata);
        (Architecture, Name) = (architecture.Name, file.Metadata.FindString("general.name"));
        Tokenizer = Tokenizer.Load(file.Metadata);
        HyperParameters sizes = HyperParameters = HyperParameters.Read(file.Metadata, architecture.Name, Tokenizer.Vocabulary.Count);

        _embedding = reader.Contains(OutputName) ? reader.Table(EmbeddingName, sizes.VocabularySize, sizes.EmbeddingLength) : null;
        RotaryFrequencies = ReadRotaryFrequencies(reader, sizes);
        Layers = new LayerWeights[sizes.Layers];
        for (int layer = 0; layer < Layers.Length; layer++) Layers[layer] = LayerWeights.Read(reader, layer, sizes, architecture);
        OutputNorm = reader.PaddedVector("output_norm.weight", sizes.EmbeddingLength);
        _output = reader.Matrix(_embedding is null ? EmbeddingName : OutputName, sizes.VocabularySize, sizes.EmbeddingLength);
        Output = new MatrixGroup(_output);
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

    /// <summary>Bytes of the packed matrices, which a pass reads all of.</summary>
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

    /// <summary>
    /// Loads a model: validates it, then reads and packs its weights on all cores. The file is closed when it returns: what happens to it later does not
    /// matter to the model.
    /// </summary>
    /// <param name="path">Path of a GGUF file; of a split model, of any of its files.</param>
    /// <param name="progress">Told how far it has come, from the threads that load, one call at a time; null for nobody.</param>
    /// <param name="cancellationToken">Gives up; what was loaded is freed.</param>
    /// <exception cref="GgufException">The file is damaged, or its architecture, tokenizer or an option of it is not supported.</exception>
    /// <exception cref="IOException">The file cannot be read, or became shorter while it was.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    /// <exception cref="InsufficientMemoryException">The model is larger than the memory that is available; none was taken.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public static CpuModel Load(string path, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Load(GgufFile.Open(path), progress, cancellationToken);

    /// <summary>Loads a model from an opened file, and closes it.</summary>
    /// <param name="file">The file.</param>
    /// <param name="progress">Told how far it has come, from the threads that load, one call at a time; null for nobody.</param>
    /// <param name="cancellationToken">Gives up; what was loaded is freed.</param>
    /// <inheritdoc cref="Load(string, IProgress{LoadProgress}, CancellationToken)" path="/exception"/>
    public static CpuModel Load(GgufFile file, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Load(file, KernelSet.Best, HostMachine.This, progress, cancellationToken);

    internal static CpuModel Load(
        GgufFile file, KernelSet kernels, HostMachine? machine = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using GgufFile open = file;
        using var reader = new WeightReader(file, kernels);
        machine ??= HostMachine.This;
        var model = new CpuModel(file, kernels, reader);
        machine.RequireMemory(reader.PackedBytes, "the model's weights");
        reader.Pack(machine.CoreCount, progress, cancellationToken);
        reader.HandOver();
        return model;
    }

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

    /// <summary>base^(−2i / width) for pair i; Llama 3.1 and later divide it by a factor of its own.</summary>
    private static double[] ReadRotaryFrequencies(WeightReader reader, HyperParameters sizes)
    {
        int pairs = sizes.RotaryLength / 2;
        float[]? factors = reader.Contains(RotaryFactorsName) ? reader.Vector(RotaryFactorsName, pairs) : null;
        return [.. Enumerable.Range(0, pairs).Select(i => sizes.RotaryScale * Math.Pow(sizes.RotaryBase, -2.0 * i / sizes.RotaryLength) / (factors?[i] ?? 1))];
    }
}
