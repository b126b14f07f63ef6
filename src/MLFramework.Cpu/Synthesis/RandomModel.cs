namespace MLFramework.Cpu;

/// <summary>
/// A model of a real shape with random weights, which computes as much as the real one and needs no download. The file is streamed: it may be
/// larger than memory. llama.cpp reads it too.
/// </summary>
/// <remarks>
/// The same seed gives the same weights in every type, but for rounding. Activations keep their magnitude from layer to layer: a matrix has elements of
/// standard deviation 1/√columns, and those that write to the residual stream are 1/√(2 layers) of that (Radford et al., "Language models are
/// unsupervised multitask learners", 2019).
/// </remarks>
public sealed class RandomModel
{
    private const float NormDeviation = 0.1f, BiasDeviation = 0.5f;

    private readonly ModelShape _shape;
    private readonly Architecture _architecture;
    private readonly TensorType _type;
    private readonly ulong _seed;
    private readonly bool _isPure;
    private readonly List<RandomTensor> _tensors = [];

    /// <summary>Decides what goes into the file.</summary>
    /// <param name="shape">Shape of the model.</param>
    /// <param name="type">
    /// Type of the matrices, as llama.cpp's <c>llama-quantize</c> understands it: in quantized models the output matrix (and embeddings that are it too) has
    /// Q6_K, or Q8_0 if that is the type; Q4_K and Q5_K stand for the mixes Q4_K_M and Q5_K_M; rows that are no whole super-blocks of 256 get the next larger
    /// type of 32-element blocks (Q4_K: Q5_0, Q5_K: Q5_1, Q6_K: Q8_0).
    /// </param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="isPure">Whether all matrices have <paramref name="type"/>, as far as it fits their rows.</param>
    /// <exception cref="ArgumentException">The shape's architecture is none that this engine runs.</exception>
    public RandomModel(ModelShape shape, TensorType type, ulong seed, bool isPure = false)
    {
        (_shape, _type, _seed, _isPure) = (shape, type, seed, isPure);
        _architecture = Architecture.All.FirstOrDefault(architecture => architecture.Name == shape.Architecture)
            ?? throw new ArgumentException($"'{shape.Architecture}' is no architecture that this engine runs.", nameof(shape));
        AddTensors();
    }

    /// <summary>Number of weights.</summary>
    public long Parameters => _tensors.Sum(tensor => tensor.Rows * tensor.Columns);

    /// <summary>Bytes of all tensors; the file has a few megabytes of vocabulary more.</summary>
    public long DataLength => _tensors.Sum(tensor => tensor.ByteLength);

    /// <summary>Writes the file.</summary>
    /// <param name="stream">A seekable stream at its start.</param>
    /// <param name="progress">Is told the bytes of tensors written so far, of <see cref="DataLength"/>.</param>
    /// <param name="cancellationToken">Ends the writing between two pieces of a tensor.</param>
    /// <exception cref="ArgumentException">The vocabulary of the shape has no room for its control tokens.</exception>
    /// <exception cref="IOException">The stream takes no more.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the stream holds half a file.</exception>
    public void Write(Stream stream, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        GgufWriter writer = WriteMetadata();
        long written = 0;
        foreach (RandomTensor tensor in _tensors)
        {
            long before = written;
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Rows == 1 ? [tensor.Columns] : [tensor.Columns, tensor.Rows],
                output => tensor.Write(output, _seed, new Offset(progress, before), cancellationToken));
            written += tensor.ByteLength;
        }
        if (_shape.Stretch?.Divisors(_shape.HeadLength, _shape.RotaryBase) is { } divisors)
            writer.AddTensor("rope_freqs.weight", TensorType.F32, [divisors.Length], divisors.AsSpan());
        writer.Write(stream);
    }

    private GgufWriter WriteMetadata()
    {
        string Key(string name) => $"{_shape.Architecture}.{name}";
        var writer = new GgufWriter();
        writer.Add("general.architecture", _shape.Architecture).Add("general.type", "model")
            .Add("general.name", $"{_shape.Title} (random weights, seed {_seed})")
            .Add(Key("block_count"), (uint)_shape.Layers).Add(Key("context_length"), (uint)_shape.ContextLength)
            .Add(Key("embedding_length"), (uint)_shape.EmbeddingLength).Add(Key("feed_forward_length"), (uint)_shape.FeedForwardLength)
            .Add(Key("attention.head_count"), (uint)_shape.Heads).Add(Key("attention.head_count_kv"), (uint)_shape.KVHeads)
            .Add(Key("attention.key_length"), (uint)_shape.HeadLength).Add(Key("attention.value_length"), (uint)_shape.HeadLength)
            .Add(Key("attention.layer_norm_rms_epsilon"), _shape.NormEpsilon).Add(Key("rope.freq_base"), _shape.RotaryBase)
            .Add(Key("rope.dimension_count"), (uint)_shape.HeadLength).Add(Key("vocab_size"), (uint)_shape.Vocabulary.Size)
            .Add("general.quantization_version", 2u);
        if (_shape.SlidingWindow is { } window) writer.Add(Key("attention.sliding_window"), (uint)window);
        SyntheticVocabulary.AddTo(writer, _shape.Vocabulary);
        return writer;
    }

    private void AddTensors()
    {
        int embedding = _shape.EmbeddingLength, vocabulary = _shape.Vocabulary.Size, inner = _shape.FeedForwardLength;
        float residual = 1 / MathF.Sqrt(2 * _shape.Layers);

        AddMatrix("token_embd.weight", vocabulary, embedding, _shape.IsTied ? MatrixRole.Output : MatrixRole.Embedding);
        for (int layer = 0; layer < _shape.Layers; layer++)
        {
            string Name(string part) => $"blk.{layer}.{part}";
            AddVector(Name("attn_norm.weight"), embedding, 1, NormDeviation);
            AddQueryKeyValue(Name, layer);
            AddMatrix(Name("attn_output.weight"), embedding, _shape.Heads * _shape.HeadLength, layer: layer, gain: residual);
            if (_architecture.HasPostNorms) AddVector(Name("post_attention_norm.weight"), embedding, 1, NormDeviation);
            AddVector(Name("ffn_norm.weight"), embedding, 1, NormDeviation);
            if (!_architecture.HasFusedGateUp) AddMatrix(Name("ffn_gate.weight"), inner, embedding, layer: layer);
            AddMatrix(Name("ffn_up.weight"), _architecture.HasFusedGateUp ? 2 * inner : inner, embedding, layer: layer);
            AddMatrix(Name("ffn_down.weight"), embedding, inner, MatrixRole.FeedForwardDown, layer, residual);
            if (_architecture.HasPostNorms) AddVector(Name("post_ffw_norm.weight"), embedding, 1, NormDeviation);
        }
        AddVector("output_norm.weight", embedding, 1, NormDeviation);
        if (!_shape.IsTied) AddMatrix("output.weight", vocabulary, embedding, MatrixRole.Output);
    }

    private void AddQueryKeyValue(Func<string, string> name, int layer)
    {
        int embedding = _shape.EmbeddingLength, queries = _shape.Heads * _shape.HeadLength, keys = _shape.KVHeads * _shape.HeadLength;
        // The family that fuses gate and up fuses these, too.
        if (_architecture.HasFusedGateUp)
        {
            AddMatrix(name("attn_qkv.weight"), queries + 2 * keys, embedding, MatrixRole.AttentionFused, layer);
            return;
        }
        AddMatrix(name("attn_q.weight"), queries, embedding, layer: layer);
        AddMatrix(name("attn_k.weight"), keys, embedding, layer: layer);
        AddMatrix(name("attn_v.weight"), keys, embedding, MatrixRole.AttentionValue, layer);
        if (_architecture.NeedsQkvBias)
        {
            AddVector(name("attn_q.bias"), queries, 0, BiasDeviation);
            AddVector(name("attn_k.bias"), keys, 0, BiasDeviation);
            AddVector(name("attn_v.bias"), keys, 0, BiasDeviation);
        }
        if (_architecture.HasQueryKeyNorm)
        {
            AddVector(name("attn_q_norm.weight"), _shape.HeadLength, 1, NormDeviation);
            AddVector(name("attn_k_norm.weight"), _shape.HeadLength, 1, NormDeviation);
        }
    }

    private void AddMatrix(string name, int rows, int columns, MatrixRole role = MatrixRole.Other, int layer = 0, float gain = 1)
    {
        TensorType type = _isPure ? QuantizationMix.Fit(_type, columns) : QuantizationMix.Choose(_type, role, layer, _shape.Layers, columns);
        _tensors.Add(new RandomTensor(name, type, rows, columns, 0, gain / MathF.Sqrt(columns)));
    }

    private void AddVector(string name, int length, float center, float deviation) =>
        _tensors.Add(new RandomTensor(name, TensorType.F32, 1, length, center, deviation));

    private sealed class Offset(IProgress<long>? progress, long start) : IProgress<long>
    {
        public void Report(long value) => progress?.Report(start + value);
    }
}
