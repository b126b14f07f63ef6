namespace MLFramework.Cpu;

/// <summary>The activation of a gated feed-forward layer.</summary>
internal enum GateActivation
{
    /// <summary>silu(gate) × up.</summary>
    Silu,

    /// <summary>gelu(gate) × up, with the tanh form of gelu.</summary>
    Gelu,
}

/// <summary>
/// What distinguishes one family of transformers from another. The layers of all: RMSNorm, attention with rotary positions and grouped KV heads, RMSNorm,
/// a gated feed-forward layer; a final RMSNorm; an output matrix, or the embeddings in its place. What a member does not say is as in most families.
/// </summary>
/// <param name="Name">Value of <c>general.architecture</c>, and first part of the family's metadata keys.</param>
internal sealed record Architecture(string Name)
{
    private const string Key = "general.architecture";

    /// <summary>The families that this engine runs.</summary>
    public static IReadOnlyList<Architecture> All { get; } =
    [
        // Llama 2 and 3, Mistral, TinyLlama, SmolLM2 and many others.
        new("llama") { InterleavesRotaryPairs = true, HasRotaryFactors = true, GlobalLayerPeriod = 0 },
        new("qwen2") { NeedsQkvBias = true },
        new("qwen3") { HasQueryKeyNorm = true },
        new("gemma3")
        {
            HasQueryKeyNorm = true, HasPostNorms = true, Activation = GateActivation.Gelu, ScalesEmbeddings = true,
            GlobalLayerPeriod = 6, LocalRotaryBase = 10_000, LayersWithScaleOfEmbedding = 62,
        },
        new("phi3") { HasRotaryFactors = true, HasFusedGateUp = true, GlobalLayerPeriod = 0 },
    ];

    /// <summary>Whether files hold rotary pairs as neighbours (2i, 2i + 1) rather than as halves (i, i + width/2).</summary>
    public bool InterleavesRotaryPairs { get; init; }

    /// <summary>Whether files can divide the frequency of each rotary pair by a factor, in tensors of their own.</summary>
    public bool HasRotaryFactors { get; init; }

    /// <summary>Whether queries, keys and values must have biases; elsewhere they can.</summary>
    public bool NeedsQkvBias { get; init; }

    /// <summary>Whether the heads of queries and keys are normalized before they are rotated.</summary>
    public bool HasQueryKeyNorm { get; init; }

    /// <summary>Whether what a layer computes is normalized before it is added to the residual stream.</summary>
    public bool HasPostNorms { get; init; }

    /// <summary>Whether <c>ffn_up</c> holds the gate's rows, then those of up.</summary>
    public bool HasFusedGateUp { get; init; }

    /// <summary>The activation of the gate.</summary>
    public GateActivation Activation { get; init; }

    /// <summary>Whether embeddings are multiplied by the root of their length.</summary>
    public bool ScalesEmbeddings { get; init; }

    /// <summary>
    /// Which layers see the whole context where a file declares a sliding window: the last of so many each, none for 0. Null if the family knows no windows:
    /// a file that declares one is refused.
    /// </summary>
    public int? GlobalLayerPeriod { get; init; }

    /// <summary>Base of the rotations in layers with a window where a file declares no other; null if these rotate as all do.</summary>
    public float? LocalRotaryBase { get; init; }

    /// <summary>The number of layers of the one model of the family whose attention is scaled by √(heads / embedding), though its heads have another length.</summary>
    public int? LayersWithScaleOfEmbedding { get; init; }

    /// <summary>Finds the family of a model.</summary>
    /// <exception cref="GgufException">The file names none, or one that this engine does not run.</exception>
    public static Architecture Of(GgufMetadata metadata)
    {
        string name = metadata.GetString(Key);
        return All.FirstOrDefault(architecture => architecture.Name == name)
            ?? throw metadata.Error(Key, $"is '{name}', which this engine does not run; it runs {string.Join(", ", All.Select(architecture => architecture.Name))}");
    }
}
