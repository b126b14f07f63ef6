namespace MLFramework.Serving;

/// <summary>When a batch goes out and how large it may be: a pure decision over what waits.</summary>
/// <param name="MaxSize">The most requests in a batch.</param>
/// <param name="MaxCost">The most summed cost in a batch.</param>
/// <param name="TargetSize">The size at which a batch goes out without further waiting.</param>
/// <param name="MaxHoldTicks">How long the oldest request is held back for company, in timestamp ticks.</param>
internal readonly record struct BatchRule(int MaxSize, long MaxCost, int TargetSize, long MaxHoldTicks)
{
    /// <summary>Dispatches every request at once, alone or with whatever waits beside it.</summary>
    public static BatchRule Immediate { get; } = new(int.MaxValue, long.MaxValue, 1, 0);

    /// <summary>The rule of <paramref name="configuration"/> before anything was learned.</summary>
    public static BatchRule For(BatchingConfiguration configuration, in TimestampClock clock)
    {
        long hold = clock.ToTicks(configuration.MaxWaitTime);
        int target = configuration.TimeoutStrategy == TimeoutStrategy.WaitForFull ? configuration.MaxBatchSize : configuration.PreferBatchSize;
        return new BatchRule(
            configuration.MaxBatchSize,
            configuration.MaxBatchCost,
            Math.Min(target, configuration.MaxQueueSize), // a full queue cannot grow: nothing to wait for
            configuration.TimeoutStrategy == TimeoutStrategy.WaitForFull ? 2 * hold : hold);
    }

    /// <summary>Whether <paramref name="count"/> waiting requests of summed <paramref name="cost"/>, the oldest of <paramref name="oldestAgeTicks"/>, are a batch now.</summary>
    public bool IsDue(int count, long cost, long oldestAgeTicks) =>
        count > 0 && (count >= TargetSize || cost >= MaxCost || oldestAgeTicks >= MaxHoldTicks);

    /// <summary>Whether a request of <paramref name="cost"/> fits a batch of <paramref name="size"/> requests and <paramref name="batchCost"/>.</summary>
    public bool Fits(int size, long batchCost, int cost) =>
        size < MaxSize && (size == 0 || cost <= MaxCost - batchCost);
}
