namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One batch, as the collector keeps it.</summary>
/// <param name="BatchId">Number of the batch; −1 when it was never told.</param>
/// <param name="RequestCount">Requests in it; 0 when it was never told.</param>
/// <param name="Utilization">Its size over the configured maximum, in percent, 0–100.</param>
/// <param name="MemoryBytesUsed">Bytes of KV cache in use when it had run; 0 when it was never told.</param>
/// <param name="Timestamp">When it was recorded (UTC).</param>
public record class BatchMetrics(
    int BatchId,
    int RequestCount,
    double Utilization,
    long MemoryBytesUsed,
    DateTime Timestamp);
