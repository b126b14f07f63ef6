namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How much the collector keeps and how it reports.</summary>
/// <param name="MaxRequestSamples">Latest ended requests from which latencies and averages are taken, at least 1.</param>
/// <param name="MaxIterationSamples">Latest iterations from which averages are taken, at least 1.</param>
/// <param name="MaxBatchSamples">Latest batches from which averages and extremes are taken, at least 1.</param>
/// <param name="CounterWindowSeconds">Seconds over which rates are taken, at least 1.</param>
/// <param name="PercentilePrecision">Decimals of a millisecond to which percentiles are rounded, 0–15.</param>
/// <param name="EnableDetailedLogging">Whether a summary goes to the collector's logger now and then.</param>
/// <param name="DetailedLogIntervalSeconds">Seconds between two summaries, at least 1; an interval in which nothing was recorded is skipped.</param>
public record class MetricsConfiguration(
    int MaxRequestSamples = 10_000,
    int MaxIterationSamples = 10_000,
    int MaxBatchSamples = 10_000,
    int CounterWindowSeconds = 60,
    int PercentilePrecision = 2,
    bool EnableDetailedLogging = false,
    int DetailedLogIntervalSeconds = 30)
{
    /// <summary>The defaults.</summary>
    public static readonly MetricsConfiguration Default = new();

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxRequestSamples, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxIterationSamples, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBatchSamples, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(CounterWindowSeconds, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(PercentilePrecision, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(PercentilePrecision, 15);
        ArgumentOutOfRangeException.ThrowIfLessThan(DetailedLogIntervalSeconds, 1);
    }
}
