namespace MLFramework.Serving;

/// <summary>Lifetime record of batches: how many, how large, how long their requests waited.</summary>
internal sealed class BatchRecorder(TimestampClock clock)
{
    private const double MillisecondsPerMicrosecond = 1e-3;

    private readonly Lock _lock = new();
    private readonly LogLinearHistogram _sizes = new();
    private readonly LogLinearHistogram _waits = new();
    private readonly double _microsecondsPerTick = 1e6 / clock.Provider.TimestampFrequency;
    private int _active;
    private long _retries;
    private long _splits;

    public int Active => Volatile.Read(ref _active);

    public long Retries => Volatile.Read(ref _retries);

    public long Splits => Volatile.Read(ref _splits);

    public void Started<TRequest, TResponse>(RequestBatch<TRequest, TResponse> batch)
    {
        Interlocked.Increment(ref _active);
        lock (_lock)
        {
            _sizes.Record(batch.Requests.Count);
            foreach (QueuedRequest<TRequest, TResponse> request in batch.Requests)
            {
                // Submitted outside the lock, taken inside: the difference may come out below zero by the length of a lock.
                _waits.Record((long)(Math.Max(0, batch.TakenAt - request.SubmittedAt) * _microsecondsPerTick));
            }
        }
    }

    public void Ended() => Interlocked.Decrement(ref _active);

    public void Retried() => Interlocked.Increment(ref _retries);

    public void Split() => Interlocked.Increment(ref _splits);

    public (HistogramSnapshot Sizes, HistogramSnapshot Waits) Snapshot()
    {
        lock (_lock)
        {
            return (_sizes.Snapshot(unit: 1), _waits.Snapshot(MillisecondsPerMicrosecond));
        }
    }
}
