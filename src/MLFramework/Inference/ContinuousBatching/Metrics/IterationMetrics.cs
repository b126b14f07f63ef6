namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One iteration, as the collector keeps it.</summary>
/// <param name="IterationNumber">Number of the iteration.</param>
/// <param name="RequestCount">Requests computed.</param>
/// <param name="TokensGenerated">New tokens generated.</param>
/// <param name="RequestsCompleted">Requests that ended.</param>
/// <param name="ProcessingTime">Duration of the iteration.</param>
/// <param name="MemoryBytesUsed">Bytes of KV cache in use at its end.</param>
/// <param name="Timestamp">When it was recorded (UTC).</param>
public record class IterationMetrics(
    int IterationNumber,
    int RequestCount,
    int TokensGenerated,
    int RequestsCompleted,
    TimeSpan ProcessingTime,
    long MemoryBytesUsed,
    DateTime Timestamp)
{
    /// <summary>Prompt positions computed; 0 when they were never told.</summary>
    public int PrefillTokens { get; init; }

    /// <summary>Duration of the executor's part; zero when it was never told.</summary>
    public TimeSpan ExecutionTime { get; init; }

    /// <summary>Size of its batch over the configured maximum, in percent, 0–100; null when it was never told.</summary>
    public double? Utilization { get; init; }
}
