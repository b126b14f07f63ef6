namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// An <see cref="ISchedulerMetrics"/> that takes an iteration and its batch in one call, by reference. The scheduler calls this
/// instead of <see cref="ISchedulerMetrics.RecordIteration"/> and <see cref="ISchedulerMetrics.RecordBatchUtilization"/>, which
/// allocate a result per iteration and cannot say which batch a utilization belongs to.
/// </summary>
public interface IIterationObserver
{
    /// <summary>An iteration ended that computed something.</summary>
    /// <param name="iteration">What it did.</param>
    void RecordIteration(in IterationMeasurement iteration);
}

/// <summary>One iteration with its batch.</summary>
public readonly record struct IterationMeasurement
{
    /// <summary>Iterations since the scheduler was made, this one included; from 1.</summary>
    public int IterationNumber { get; init; }

    /// <summary>Number of the batch.</summary>
    public int BatchId { get; init; }

    /// <summary>Requests computed.</summary>
    public int RequestCount { get; init; }

    /// <summary>New tokens generated.</summary>
    public int TokensGenerated { get; init; }

    /// <summary>Prompt positions computed.</summary>
    public int PrefillTokens { get; init; }

    /// <summary>Requests that ended, for whatever reason.</summary>
    public int RequestsCompleted { get; init; }

    /// <summary>Duration of the iteration.</summary>
    public TimeSpan ProcessingTime { get; init; }

    /// <summary>Duration of the executor's part of it.</summary>
    public TimeSpan ExecutionTime { get; init; }

    /// <summary>Bytes of KV cache in use at its end.</summary>
    public long MemoryBytesUsed { get; init; }

    /// <summary>Requests over the configured maximum batch size, in percent, 0–100.</summary>
    public double Utilization { get; init; }
}
