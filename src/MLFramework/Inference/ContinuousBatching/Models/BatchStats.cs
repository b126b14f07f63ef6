namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One batch, for monitoring.</summary>
/// <param name="BatchId">Sequential number of the batch.</param>
/// <param name="RequestCount">Requests in it.</param>
/// <param name="MemoryBytesUsed">Bytes of KV cache that they hold.</param>
/// <param name="UtilizationPercentage">Requests over the configured maximum batch size, 0–100.</param>
/// <param name="ProcessingTime">Duration of its run; zero while it has not ended.</param>
public record class BatchStats(
    int BatchId,
    int RequestCount,
    long MemoryBytesUsed,
    double UtilizationPercentage,
    TimeSpan ProcessingTime);
