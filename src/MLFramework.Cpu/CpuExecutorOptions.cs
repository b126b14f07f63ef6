using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>How a <see cref="CpuModelExecutor"/> computes.</summary>
public sealed record CpuExecutorOptions
{
    /// <summary>The defaults.</summary>
    public static readonly CpuExecutorOptions Default = new();

    /// <summary>Threads that compute, the scheduler's own included; null for one per physical core that the process may use.</summary>
    public int? Threads { get; init; }

    /// <summary>Tokens that the KV cache has room for, over all sequences; rounded up to blocks of 16. Memory is taken as it is first used.</summary>
    /// <value>16,384.</value>
    public int KVCacheTokens { get; init; } = 16_384;

    /// <summary>How keys and values are stored.</summary>
    /// <value><see cref="KVElementType.F16"/>.</value>
    public KVElementType KVType { get; init; } = KVElementType.F16;

    /// <summary>
    /// Whether each of the executor's own threads stays on one physical core. That spares caches on a machine that the process has for itself, and harms where
    /// others want the same cores: the kernel then cannot move a thread out of their way. The thread that calls the executor is never pinned. Linux only;
    /// elsewhere, and with more threads than cores, it does nothing.
    /// </summary>
    /// <value>false.</value>
    public bool PinThreads { get; init; }

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        const int MostThreads = 1024;
        if (Threads is < 1 or > MostThreads) throw new ArgumentOutOfRangeException(nameof(Threads), Threads, $"Threads must be 1 to {MostThreads}; leave it null for all that the process may use.");
        ArgumentOutOfRangeException.ThrowIfLessThan(KVCacheTokens, 1);
        if (!Enum.IsDefined(KVType)) throw new ArgumentOutOfRangeException(nameof(KVType), KVType, "Unknown type of keys and values.");
    }
}
