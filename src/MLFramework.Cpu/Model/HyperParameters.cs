namespace MLFramework.Cpu;

/// <summary>The sizes and constants of a model.</summary>
/// <param name="Layers">Number of layers.</param>
/// <param name="EmbeddingLength">Elements of a token's representation.</param>
/// <param name="FeedForwardLength">Elements inside a feed-forward layer.</param>
/// <param name="Heads">Heads of queries.</param>
/// <param name="KVHeads">Heads of keys and values; divides <paramref name="Heads"/>.</param>
/// <param name="HeadLength">Elements of a head, a multiple of 8.</param>
/// <param name="RotaryLength">Elements of a head that are rotated by its position, even.</param>
/// <param name="RotaryBase">Base of the rotation's wavelengths.</param>
/// <param name="RotaryScale">Factor of positions before they rotate (linear scaling).</param>
/// <param name="NormEpsilon">ε of the normalizations.</param>
/// <param name="ContextLength">Most tokens that the model can see.</param>
/// <param name="VocabularySize">Number of token ids.</param>
public sealed record HyperParameters(
    int Layers, int EmbeddingLength, int FeedForwardLength, int Heads, int KVHeads, int HeadLength, int RotaryLength, float RotaryBase, float RotaryScale,
    float NormEpsilon, int ContextLength, int VocabularySize)
{
    private const int LargestLength = 1 << 20, MostLayers = 1 << 10, MostHeads = 1 << 10, LargestHead = 1 << 10, LargestContext = 1 << 24;

    /// <summary>Reads and validates them.</summary>
    /// <param name="metadata">Metadata of the model.</param>
    /// <param name="architecture">The family's name, with which its keys begin.</param>
    /// <param name="vocabularySize">Tokens of the vocabulary.</param>
    /// <exception cref="GgufException">One is missing, absurd, contradicts another, or asks for what this engine does not do.</exception>
    internal static HyperParameters Read(GgufMetadata metadata, string architecture, int vocabularySize)
    {
        string Key(string name) => $"{architecture}.{name}";
        int heads = metadata.GetInt32(Key("attention.head_count"), 1, MostHeads), kvHeads = metadata.FindInt32(Key("attention.head_count_kv"), 1, MostHeads) ?? heads;
        if (heads % kvHeads != 0) throw metadata.Error(Key("attention.head_count_kv"), $"is {kvHeads}, which does not divide the {heads} heads of queries");

        int embedding = metadata.GetInt32(Key("embedding_length"), 1, LargestLength);
        int headLength = metadata.FindInt32(Key("attention.key_length"), 1, LargestHead) ?? embedding / heads;
        if (headLength == 0 || headLength % 8 != 0) throw metadata.Error(Key("attention.key_length"), $"is {headLength}; heads must have a multiple of 8 elements");
        if (metadata.FindInt32(Key("attention.value_length")) is { } valueLength && valueLength != headLength)
            throw metadata.Error(Key("attention.value_length"), $"is {valueLength}, but keys have {headLength} elements; both must be the same");
        int rotary = metadata.FindInt32(Key("rope.dimension_count"), 2, headLength) ?? headLength;
        if (rotary % 2 != 0) throw metadata.Error(Key("rope.dimension_count"), $"is {rotary}; elements are rotated in pairs");

        int context = metadata.GetInt32(Key("context_length"), 2, LargestContext);
        RefuseWhatIsNotDone(metadata, Key, context);
        return new HyperParameters(
            metadata.GetInt32(Key("block_count"), 1, MostLayers), embedding, metadata.GetInt32(Key("feed_forward_length"), 1, LargestLength), heads, kvHeads, headLength, rotary,
            Positive(metadata, Key("rope.freq_base")) ?? 10_000, RotaryScaleOf(metadata, Key),
            Positive(metadata, Key("attention.layer_norm_rms_epsilon")) ?? throw metadata.Error(Key("attention.layer_norm_rms_epsilon"), "is missing"), context, vocabularySize);
    }

    private static void RefuseWhatIsNotDone(GgufMetadata metadata, Func<string, string> key, int context)
    {
        if (metadata.FindInt32(key("expert_count")) is > 0 and var experts)
            throw metadata.Error(key("expert_count"), $"is {experts}; mixtures of experts are not supported");
        if (metadata.FindInt32(key("attention.sliding_window")) is > 0 and var window && window < context)
            throw metadata.Error(key("attention.sliding_window"), $"is {window}, less than the context of {context}; sliding windows are not supported");
    }

    private static float RotaryScaleOf(GgufMetadata metadata, Func<string, string> key)
    {
        string type = metadata.FindString(key("rope.scaling.type")) ?? (metadata.Contains(key("rope.scale_linear")) ? "linear" : "none");
        return type switch
        {
            "none" => 1,
            "linear" => 1 / (Positive(metadata, key("rope.scaling.factor")) ?? Positive(metadata, key("rope.scale_linear")) ?? 1),
            _ => throw metadata.Error(key("rope.scaling.type"), $"is '{type}', which is not supported; supported are none and linear"),
        };
    }

    private static float? Positive(GgufMetadata metadata, string key) =>
        metadata.FindSingle(key) is not { } value ? null : value > 0 ? value : throw metadata.Error(key, $"is {value}; it must be positive");
}
