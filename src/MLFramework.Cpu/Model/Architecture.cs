namespace MLFramework.Cpu;

/// <summary>
/// What distinguishes one family of transformers from another. The layers of all: RMSNorm, attention with rotary positions and grouped KV heads, RMSNorm,
/// SwiGLU; a final RMSNorm; an output matrix, or the embeddings in its place.
/// </summary>
/// <param name="Name">Value of <c>general.architecture</c>, and first part of the family's metadata keys.</param>
/// <param name="InterleavesRotaryPairs">Whether files hold rotary pairs as neighbours (2i, 2i + 1) rather than as halves (i, i + width/2).</param>
/// <param name="HasQkvBias">Whether queries, keys and values have biases.</param>
internal sealed record Architecture(string Name, bool InterleavesRotaryPairs, bool HasQkvBias)
{
    private const string Key = "general.architecture";

    /// <summary>The families that this engine runs.</summary>
    public static IReadOnlyList<Architecture> All { get; } =
    [
        new("llama", InterleavesRotaryPairs: true, HasQkvBias: false),
        new("qwen2", InterleavesRotaryPairs: false, HasQkvBias: true),
    ];

    /// <summary>Finds the family of a model.</summary>
    /// <exception cref="GgufException">The file names none, or one that this engine does not run.</exception>
    public static Architecture Of(GgufMetadata metadata)
    {
        string name = metadata.GetString(Key);
        return All.FirstOrDefault(architecture => architecture.Name == name)
            ?? throw metadata.Error(Key, $"is '{name}', which this engine does not run; it runs {string.Join(", ", All.Select(architecture => architecture.Name))}");
    }
}
