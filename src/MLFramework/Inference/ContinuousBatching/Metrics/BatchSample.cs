namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A <see cref="BatchMetrics"/> as it lies in the collector's buffer: a struct, so that recording allocates nothing.</summary>
internal readonly record struct BatchSample(int BatchId, int RequestCount, double Utilization, long MemoryBytesUsed, DateTime Timestamp)
{
    /// <summary>The number of a batch that has not told one.</summary>
    public const int UnknownId = -1;

    /// <summary>Size and memory were told: no batch is empty.</summary>
    public bool HasSize => RequestCount > 0;

    public BatchMetrics ToMetrics() => new(BatchId, RequestCount, Utilization, MemoryBytesUsed, Timestamp);
}
