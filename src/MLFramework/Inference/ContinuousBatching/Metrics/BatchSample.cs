namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A <see cref="BatchMetrics"/> as it lies in the collector's buffer: a struct, so that recording allocates nothing.</summary>
internal struct BatchSample
{
    /// <summary>The number of a batch that has not told one.</summary>
    public const int UnknownId = -1;

    public int BatchId;

    /// <summary>0 when it was never told: no batch is empty.</summary>
    public int RequestCount;

    public double Utilization;
    public long MemoryBytesUsed;
    public DateTime Timestamp;

    public readonly BatchMetrics ToMetrics() => new(BatchId, RequestCount, Utilization, MemoryBytesUsed, Timestamp);
}
