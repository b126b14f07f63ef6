namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// All requests that ended. Totals count since the collector was made or reset; latencies and averages come from the completed ones
/// among the kept samples; rates are per second over the window.
/// </summary>
/// <param name="TotalRequests">Requests that ended: completed, failed and cancelled.</param>
/// <param name="CompletedRequests">Requests that ended as they should.</param>
/// <param name="FailedRequests">Requests that ended with <see cref="CompletionReason.Failed"/> or <see cref="CompletionReason.Timeout"/>.</param>
/// <param name="CancelledRequests">Requests that ended with <see cref="CompletionReason.Cancelled"/>.</param>
/// <param name="AverageTokensPerRequest">Mean tokens generated.</param>
/// <param name="P50Latency">Median of <see cref="RequestResult.TotalTime"/>, in milliseconds; 0 when nothing has completed.</param>
/// <param name="P95Latency">95th percentile of the same.</param>
/// <param name="P99Latency">99th percentile of the same.</param>
/// <param name="RequestsPerSecond">Requests that ended, per second.</param>
/// <param name="TokensPerSecond">Tokens generated, per second.</param>
/// <param name="AverageQueueTime">Mean time from accepted to first scheduled.</param>
/// <param name="AverageProcessingTime">Mean time from first scheduled to ended.</param>
public record class RequestStatistics(
    long TotalRequests,
    long CompletedRequests,
    long FailedRequests,
    long CancelledRequests,
    double AverageTokensPerRequest,
    double P50Latency,
    double P95Latency,
    double P99Latency,
    double RequestsPerSecond,
    double TokensPerSecond,
    TimeSpan AverageQueueTime,
    TimeSpan AverageProcessingTime);
