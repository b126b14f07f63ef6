namespace MLFramework.Cpu;

/// <summary>How a <see cref="CpuEmbedder"/> computes.</summary>
public sealed record CpuEmbedderOptions
{
    /// <summary>The defaults.</summary>
    public static readonly CpuEmbedderOptions Default = new();

    /// <summary>How tokens become one vector; null for what the file says (<c>pooling_type</c>), or else <see cref="EmbeddingPooling.Last"/>.</summary>
    public EmbeddingPooling? Pooling { get; init; }

    /// <summary>Whether vectors are scaled to length 1, so that their dot product is the cosine of their angle.</summary>
    /// <value>true.</value>
    public bool Normalizes { get; init; } = true;

    /// <summary>Most tokens of one pass, over all texts: the memory for activations grows with it. Longer texts take several passes.</summary>
    /// <value>512.</value>
    public int PassTokens { get; init; } = 512;

    /// <summary>Threads that compute, the caller's included; null for one per physical core that the process may use.</summary>
    public int? Threads { get; init; }

    /// <summary>How keys and values are stored.</summary>
    /// <value><see cref="KVElementType.F16"/>.</value>
    public KVElementType KVType { get; init; } = KVElementType.F16;

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        const int MostPassTokens = 1 << 16;
        if (Pooling is { } pooling && !Enum.IsDefined(pooling)) throw new ArgumentOutOfRangeException(nameof(Pooling), pooling, "Unknown pooling.");
        if (PassTokens is < 1 or > MostPassTokens) throw new ArgumentOutOfRangeException(nameof(PassTokens), PassTokens, $"PassTokens must be 1 to {MostPassTokens}.");
        (CpuExecutorOptions.Default with { Threads = Threads, KVType = KVType }).Validate();
    }
}
