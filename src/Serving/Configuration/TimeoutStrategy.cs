namespace MLFramework.Serving;

/// <summary>When a batch that is not yet full is dispatched.</summary>
public enum TimeoutStrategy
{
    /// <summary>At <see cref="BatchingConfiguration.PreferBatchSize"/> requests, or when the oldest has waited <see cref="BatchingConfiguration.MaxWaitTime"/>.</summary>
    DispatchPartial,

    /// <summary>Only when full; after a second <see cref="BatchingConfiguration.MaxWaitTime"/> it goes out as it is.</summary>
    WaitForFull,

    /// <summary>
    /// At the size that arrives while one batch is being processed, learned from arrivals and processing times, or when the
    /// oldest request has waited <see cref="BatchingConfiguration.MaxWaitTime"/>. The decision is in <see cref="QueueStatistics.Adaptive"/>.
    /// </summary>
    Adaptive,
}
