namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What a <see cref="CapacityManager"/> has to give.</summary>
/// <param name="MaxBatchSize">Slots: requests that may compute at once.</param>
/// <param name="MaxMemoryBytes">Memory for all requests.</param>
/// <param name="MemoryPerSlotBytes">Memory set aside for each request when it starts.</param>
/// <param name="MaxConcurrentRequests">Most requests that may hold an allocation at once.</param>
/// <param name="MemoryBufferRatio">Share of the memory never given out, 0 to less than 1.</param>
public record class CapacityConstraints(
    int MaxBatchSize = 32,
    long MaxMemoryBytes = 16L * 1024 * 1024 * 1024,
    long MemoryPerSlotBytes = 512L * 1024 * 1024,
    int MaxConcurrentRequests = 64,
    double MemoryBufferRatio = 0.1)
{
    /// <summary>The defaults.</summary>
    public static readonly CapacityConstraints Default = new();

    /// <summary>
    /// Memory that a token takes, for <see cref="CapacityManager.UpdateUsage"/>: a request is charged for its slot or its tokens, whichever is more. Zero
    /// charges the slot only.
    /// </summary>
    public long MemoryPerTokenBytes { get; init; }

    /// <summary>Memory that may be given out.</summary>
    internal long UsableMemoryBytes => (long)(MaxMemoryBytes * (1 - MemoryBufferRatio));

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range, or not even one slot fits the memory.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxMemoryBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MemoryPerSlotBytes, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxConcurrentRequests, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MemoryPerTokenBytes, 0);
        if (!(MemoryBufferRatio >= 0 && MemoryBufferRatio < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(MemoryBufferRatio), MemoryBufferRatio, "MemoryBufferRatio is a share: at least 0, less than 1.");
        }

        if (MemoryPerSlotBytes > UsableMemoryBytes)
        {
            throw new ArgumentOutOfRangeException(
                nameof(MemoryPerSlotBytes), MemoryPerSlotBytes, $"One slot does not fit the usable memory of {UsableMemoryBytes} bytes; nothing could ever run.");
        }
    }
}
