namespace MLFramework.Serving;

/// <summary>Watches arrivals and batches, and decides the target size of <see cref="TimeoutStrategy.Adaptive"/>. Thread-safe.</summary>
internal sealed class AdaptiveController
{
    private const double BatchesToLearn = 4;
    private static readonly TimeSpan s_decisionInterval = TimeSpan.FromMilliseconds(5);

    private readonly Lock _lock = new();
    private readonly LoadEstimator _estimator = new();
    private readonly TimestampClock _clock;
    private readonly long _intervalTicks;
    private readonly int _slots;
    private readonly int _maxSize;
    private long _seenArrivals;
    private long _decidedAt;
    private AdaptiveDecision _decision;

    public AdaptiveController(BatchingConfiguration configuration, TimestampClock clock)
    {
        _clock = clock;
        _intervalTicks = clock.ToTicks(s_decisionInterval);
        _slots = configuration.MaxConcurrentBatches;
        _maxSize = Math.Min(configuration.MaxBatchSize, configuration.MaxQueueSize);
        _decidedAt = clock.Now;
        _decision = new AdaptiveDecision(0, TimeSpan.Zero, TimeSpan.Zero, Math.Min(configuration.PreferBatchSize, _maxSize));
    }

    /// <summary>The decision in force; until enough batches were seen it is <see cref="BatchingConfiguration.PreferBatchSize"/>.</summary>
    public AdaptiveDecision Decision => Volatile.Read(ref _decision);

    /// <summary>Learns from a processed batch and, now and then, decides anew.</summary>
    /// <param name="size">Requests in the batch; at least 1.</param>
    /// <param name="duration">How long the processor took.</param>
    /// <param name="totalArrivals">Requests submitted so far, in the batcher's lifetime.</param>
    /// <returns>Whether the target size has changed.</returns>
    public bool Observe(int size, TimeSpan duration, long totalArrivals)
    {
        lock (_lock)
        {
            _estimator.ObserveBatch(size, duration.TotalSeconds);
            long now = _clock.Now;
            if (now - _decidedAt < _intervalTicks)
            {
                return false;
            }

            _estimator.ObserveArrivals(totalArrivals - _seenArrivals, _clock.ToTimeSpan(now - _decidedAt).TotalSeconds);
            (_seenArrivals, _decidedAt) = (totalArrivals, now);
            int previous = _decision.TargetBatchSize;
            Volatile.Write(ref _decision, Decide(previous));
            return _decision.TargetBatchSize != previous;
        }
    }

    private AdaptiveDecision Decide(int previous)
    {
        double rate = _estimator.ArrivalsPerSecond;
        (double overhead, double perRequest) = _estimator.ProcessingTime();
        int target = _estimator.BatchWeight < BatchesToLearn
            ? previous
            : AdaptiveTarget.BatchSize(rate, overhead, perRequest, _slots, _maxSize);
        return new AdaptiveDecision(rate, TimeSpan.FromSeconds(overhead), TimeSpan.FromSeconds(perRequest), target);
    }
}
