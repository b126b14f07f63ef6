using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Writes a collector's summary to a logger once an interval, from a timer: a slow logger never holds the scheduler up.</summary>
internal sealed partial class MetricsLog : IDisposable
{
    private readonly SchedulerMetricsCollector _collector;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private (long Requests, long Iterations, long Errors) _written;

    public MetricsLog(SchedulerMetricsCollector collector, ILogger logger, TimeSpan interval, TimeProvider timeProvider)
    {
        _collector = collector;
        _logger = logger;
        _timer = timeProvider.CreateTimer(static log => ((MetricsLog)log!).Write(), this, interval, interval);
    }

    public void Dispose() => _timer.Dispose();

    private void Write()
    {
        MetricsSnapshot snapshot = _collector.GetSnapshot();
        RequestStatistics requests = snapshot.RequestStats;
        IterationStatistics iterations = snapshot.IterationStats;
        var now = (requests.TotalRequests, iterations.TotalIterations, snapshot.ErrorStats.TotalErrors);
        if (now == _written)
        {
            return;
        }

        _written = now;
        try
        {
            Log.Requests(
                _logger,
                requests.CompletedRequests,
                requests.FailedRequests,
                requests.CancelledRequests,
                requests.RequestsPerSecond,
                requests.TokensPerSecond,
                requests.P50Latency,
                requests.P95Latency,
                requests.P99Latency,
                requests.AverageQueueTime.TotalMilliseconds);
            Log.Iterations(
                _logger,
                iterations.TotalIterations,
                iterations.IterationsPerSecond,
                iterations.AverageProcessingTimeMs,
                snapshot.BatchStats.AverageBatchSize,
                snapshot.BatchStats.AverageUtilization,
                snapshot.ErrorStats.TotalErrors);
        }
        catch (Exception exception)
        {
            // Thrown from a timer it would end the process: a logger's fault becomes a counted error instead.
            _collector.RecordError(nameof(MetricsLog), exception);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information,
            "Requests: {Completed} completed, {Failed} failed, {Cancelled} cancelled; {RequestsPerSecond:F2} requests/s, "
            + "{TokensPerSecond:F1} tokens/s; latency P50 {P50} ms, P95 {P95} ms, P99 {P99} ms, queued {QueueMs:F2} ms on average.")]
        public static partial void Requests(
            ILogger logger,
            long completed,
            long failed,
            long cancelled,
            double requestsPerSecond,
            double tokensPerSecond,
            double p50,
            double p95,
            double p99,
            double queueMs);

        [LoggerMessage(2, LogLevel.Information,
            "Iterations: {Iterations}, {IterationsPerSecond:F1}/s, {IterationMs:F3} ms each; batches of {BatchSize:F1} requests, "
            + "{Utilization:F1} % full; {Errors} errors.")]
        public static partial void Iterations(
            ILogger logger,
            long iterations,
            double iterationsPerSecond,
            double iterationMs,
            double batchSize,
            double utilization,
            long errors);
    }
}
