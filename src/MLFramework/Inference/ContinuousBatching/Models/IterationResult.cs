namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What one iteration did.</summary>
/// <param name="IterationNumber">Iterations since the scheduler was made, this one included; from 1.</param>
/// <param name="RequestCount">Requests computed.</param>
/// <param name="TokensGenerated">New tokens generated (prompt tokens computed are not counted).</param>
/// <param name="RequestsCompleted">Requests that ended in this iteration, for whatever reason.</param>
/// <param name="ProcessingTime">Duration of the iteration.</param>
/// <param name="MemoryBytesUsed">Bytes of KV cache in use at its end.</param>
public record class IterationResult(
    int IterationNumber,
    int RequestCount,
    int TokensGenerated,
    int RequestsCompleted,
    TimeSpan ProcessingTime,
    long MemoryBytesUsed);
