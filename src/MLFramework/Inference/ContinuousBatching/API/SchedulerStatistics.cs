namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What a client has measured since it was made.</summary>
/// <param name="TotalRequests">Requests that have ended, however.</param>
/// <param name="TotalCompletedRequests">Those that ended with a response.</param>
/// <param name="TotalFailedRequests">Those that failed or timed out.</param>
/// <param name="TotalCancelledRequests">Those that were cancelled.</param>
/// <param name="TotalProcessingTime">Their processing times, summed.</param>
/// <param name="AverageRequestsPerSecond">Ended requests over the time since <paramref name="StartTime"/>.</param>
/// <param name="AverageTokensPerSecond">Their generated tokens over that time.</param>
/// <param name="P50Latency">Median latency (accepted to ended) of the last 10,000 requests that were not cancelled, in milliseconds.</param>
/// <param name="P95Latency">95th percentile of it.</param>
/// <param name="P99Latency">99th percentile of it.</param>
/// <param name="AverageBatchUtilization">Mean size of the scheduler's batches over the configured maximum, in percent.</param>
/// <param name="StartTime">When counting began (UTC).</param>
public record class SchedulerStatistics(
    int TotalRequests,
    int TotalCompletedRequests,
    int TotalFailedRequests,
    int TotalCancelledRequests,
    TimeSpan TotalProcessingTime,
    double AverageRequestsPerSecond,
    double AverageTokensPerSecond,
    double P50Latency,
    double P95Latency,
    double P99Latency,
    double AverageBatchUtilization,
    DateTime StartTime);
