namespace MLFramework.Inference.ContinuousBatching;

/// <summary>An <see cref="IterationMetrics"/> as it lies in the collector's buffer: a struct, so that recording allocates nothing.</summary>
internal struct IterationSample
{
    public int IterationNumber;
    public int RequestCount;
    public int TokensGenerated;
    public int RequestsCompleted;
    public TimeSpan ProcessingTime;
    public long MemoryBytesUsed;
    public DateTime Timestamp;

    /// <summary>In percent; not a number until it is told.</summary>
    public double Utilization;

    public readonly IterationMetrics ToMetrics() =>
        new(IterationNumber, RequestCount, TokensGenerated, RequestsCompleted, ProcessingTime, MemoryBytesUsed, Timestamp)
        {
            Utilization = double.IsNaN(Utilization) ? null : Utilization,
        };
}
