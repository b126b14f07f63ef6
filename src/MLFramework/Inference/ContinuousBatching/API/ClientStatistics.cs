namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Counts what <see cref="ContinuousBatchSchedulerClient.GetStatistics"/> reports. Written by the scheduler's thread, read from any.</summary>
internal sealed class ClientStatistics
{
    private const int KeptLatencies = 10_000;

    private readonly TimeProvider _time;
    private readonly DateTime _startTime;
    private readonly long _start;
    private readonly Lock _lock = new();
    private readonly CircularBuffer<double> _latencies = new(KeptLatencies);
    private int _completed;
    private int _failed;
    private int _cancelled;
    private long _tokens;
    private TimeSpan _processing;

    public ClientStatistics(TimeProvider time)
    {
        _time = time;
        _startTime = time.GetUtcNow().UtcDateTime;
        _start = time.GetTimestamp();
    }

    public void Record(RequestResult result)
    {
        lock (_lock)
        {
            _tokens += result.TokensGenerated;
            _processing += result.ProcessingTime;
            switch (result.Reason)
            {
                case CompletionReason.Cancelled:
                    _cancelled++;
                    return;
                case CompletionReason.Failed or CompletionReason.Timeout:
                    _failed++;
                    break;
                default:
                    _completed++;
                    break;
            }

            _latencies.Add(result.TotalTime.TotalMilliseconds);
        }
    }

    public SchedulerStatistics Read(double averageBatchUtilization)
    {
        lock (_lock)
        {
            double[] sorted = [.. _latencies];
            Array.Sort(sorted);
            int total = _completed + _failed + _cancelled;
            double seconds = _time.GetElapsedTime(_start).TotalSeconds;
            return new SchedulerStatistics(
                total,
                _completed,
                _failed,
                _cancelled,
                _processing,
                seconds > 0 ? total / seconds : 0,
                seconds > 0 ? _tokens / seconds : 0,
                Percentile.OfSorted(sorted, 50),
                Percentile.OfSorted(sorted, 95),
                Percentile.OfSorted(sorted, 99),
                averageBatchUtilization,
                _startTime);
        }
    }
}
