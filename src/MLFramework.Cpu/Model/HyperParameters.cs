using System.Collections.Immutable;

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
/// <param name="RotaryScaling">How rotations are scaled.</param>
/// <param name="NormEpsilon">ε of the normalizations.</param>
/// <param name="ContextLength">Most tokens that the model can see.</param>
/// <param name="VocabularySize">Number of token ids.</param>
public sealed record HyperParameters(
    int Layers, int EmbeddingLength, int FeedForwardLength, int Heads, int KVHeads, int HeadLength, int RotaryLength, float RotaryBase, RotaryScaling RotaryScaling,
    float NormEpsilon, int ContextLength, int VocabularySize)
{
    private const int LargestLength = 1 << 20, MostLayers = 1 << 10, MostHeads = 1 << 10, LargestHead = 1 << 10, LargestContext = 1 << 24;

    /// <summary>Base of the rotations in layers with a sliding window, unscaled; null if these rotate as all do.</summary>
    public float? LocalRotaryBase { get; init; }

    /// <summary>Positions that a layer with a sliding window attends to, its own included; null if no layer has one.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary>Factor of the embeddings.</summary>
    public float EmbeddingScale { get; init; } = 1;

    /// <summary>Factor of the products of queries with keys.</summary>
    public required float AttentionScale { get; init; }

    /// <summary>Bound c of attention scores, which become c × tanh(score / c); null for none.</summary>
    public float? AttentionSoftCap { get; init; }

    /// <summary>Bound c of logits, which become c × tanh(logit / c); null for none.</summary>
    public float? LogitSoftCap { get; init; }

    private ImmutableArray<bool> WindowedLayers { get; init; }

    /// <summary>Positions that a layer attends to, its own included; null for all before it.</summary>
    public int? Window(int layer) => SlidingWindow is { } window && WindowedLayers[layer] ? window : null;

    /// <summary>Reads and validates them.</summary>
    /// <param name="metadata">Metadata of the model.</param>
    /// <param name="architecture">The model's family.</param>
    /// <param name="vocabularySize">Tokens of the vocabulary.</param>
    /// <exception cref="GgufException">One is missing, absurd, contradicts another, or asks for what this engine does not do.</exception>
    internal static HyperParameters Read(GgufMetadata metadata, Architecture architecture, int vocabularySize)
    {
        var parameters = new ParameterReader(metadata, architecture.Name);
        int heads = parameters.GetInt32("attention.head_count", 1, MostHeads), kvHeads = parameters.FindInt32("attention.head_count_kv", 1, MostHeads) ?? heads;
        if (heads % kvHeads != 0) throw parameters.Error("attention.head_count_kv", $"is {kvHeads}, which does not divide the {heads} heads of queries");

        int layers = parameters.GetInt32("block_count", 1, MostLayers), embedding = parameters.GetInt32("embedding_length", 1, LargestLength);
        int headLength = parameters.FindInt32("attention.key_length", 1, LargestHead) ?? embedding / heads;
        if (headLength == 0 || headLength % 8 != 0) throw parameters.Error("attention.key_length", $"is {headLength}; heads must have a multiple of 8 elements");
        if (parameters.FindInt32("attention.value_length") is { } valueLength && valueLength != headLength)
            throw parameters.Error("attention.value_length", $"is {valueLength}, but keys have {headLength} elements; both must be the same");
        int rotary = parameters.FindInt32("rope.dimension_count", 2, headLength) ?? headLength;
        if (rotary % 2 != 0) throw parameters.Error("rope.dimension_count", $"is {rotary}; elements are rotated in pairs");

        int context = parameters.GetInt32("context_length", 2, LargestContext);
        ImmutableArray<bool> windows = ReadWindows(parameters, architecture, layers, context, out int? window);
        float? localRotaryBase = architecture.LocalRotaryBase is { } usual ? parameters.FindSingle("rope.freq_base_swa", above: 1) ?? usual : null;
        var sizes = new HyperParameters(
            layers, embedding, parameters.GetInt32("feed_forward_length", 1, LargestLength), heads, kvHeads, headLength, rotary,
            parameters.FindSingle("rope.freq_base", above: 1) ?? 10_000, RotaryScaling.Read(parameters, context),
            parameters.FindSingle("attention.layer_norm_rms_epsilon") ?? throw parameters.Error("attention.layer_norm_rms_epsilon", "is missing"), context, vocabularySize)
        {
            WindowedLayers = windows,
            SlidingWindow = window,
            LocalRotaryBase = window is null ? null : localRotaryBase,
            EmbeddingScale = architecture.ScalesEmbeddings ? MathF.Sqrt(embedding) : 1,
            AttentionScale = parameters.FindSingle("attention.scale")
                ?? (float)(1 / Math.Sqrt(layers == architecture.LayersWithScaleOfEmbedding ? embedding / heads : headLength)),
            AttentionSoftCap = parameters.FindSingle("attn_logit_softcapping"),
            LogitSoftCap = parameters.FindSingle("final_logit_softcapping"),
        };
        RefuseWhatIsNotDone(parameters);
        return sizes;
    }

    /// <summary>Which layers have a window: as the file declares, else as is usual in the family.</summary>
    private static ImmutableArray<bool> ReadWindows(ParameterReader parameters, Architecture architecture, int layers, int context, out int? window)
    {
        const string Pattern = "attention.sliding_window_pattern";
        window = parameters.FindInt32("attention.sliding_window", 0) is > 0 and var declared ? declared : null;
        bool[]? each = parameters.FindBooleans(Pattern);
        int? period = each is null ? parameters.FindInt32(Pattern, 0, MostLayers) ?? architecture.GlobalLayerPeriod : null;
        if (each is not null && each.Length < layers) throw parameters.Error(Pattern, $"has {each.Length} elements for {layers} layers");
        // A window as long as the context hides nothing.
        if (window is null || window >= context) window = null;
        else if (architecture.GlobalLayerPeriod is null)
            throw parameters.Error("attention.sliding_window", $"is {window}, less than the context of {context}; sliding windows are not supported for {architecture.Name}");
        if (window is null) return default;
        return each is not null ? [.. each[..layers]] : [.. Enumerable.Range(0, layers).Select(layer => period is null or 0 || layer % period != period - 1)];
    }

    private static void RefuseWhatIsNotDone(ParameterReader parameters)
    {
        if (parameters.FindInt32("expert_count") is > 0 and var experts) throw parameters.Error("expert_count", $"is {experts}; mixtures of experts are not supported");
        if (parameters.FindInt32("expert_used_count") is > 0 and var used) throw parameters.Error("expert_used_count", $"is {used}; mixtures of experts are not supported");
        if (parameters.FindBoolean("use_parallel_residual") is true) throw parameters.Error("use_parallel_residual", "is true; parallel residuals are not supported");
        if (parameters.FindBoolean("attention.causal") is false) throw parameters.Error("attention.causal", "is false; only causal attention is supported");
        parameters.RefuseUnread();
    }
}
