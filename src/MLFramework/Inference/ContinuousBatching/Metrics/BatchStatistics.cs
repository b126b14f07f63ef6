namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// All batches. The total counts since the collector was made or reset; averages and extremes come from the kept samples. A batch of
/// which only the utilization was told counts in the total and in <paramref name="AverageUtilization"/>, not in sizes and memory.
/// </summary>
/// <param name="TotalBatches">Batches recorded.</param>
/// <param name="AverageBatchSize">Mean requests in a batch.</param>
/// <param name="AverageUtilization">Mean size over the configured maximum, in percent, 0–100.</param>
/// <param name="AverageMemoryBytesPerBatch">Mean bytes of KV cache in use.</param>
/// <param name="MaxBatchSize">Most requests in a batch.</param>
/// <param name="MinBatchSize">Fewest requests in a batch.</param>
public record class BatchStatistics(
    long TotalBatches,
    double AverageBatchSize,
    double AverageUtilization,
    double AverageMemoryBytesPerBatch,
    int MaxBatchSize,
    int MinBatchSize);
