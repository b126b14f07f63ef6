namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Everything the collector knows at one moment: nothing is recorded between its parts.</summary>
/// <param name="RequestStats">Requests.</param>
/// <param name="IterationStats">Iterations.</param>
/// <param name="BatchStats">Batches.</param>
/// <param name="ErrorStats">Errors.</param>
/// <param name="SnapshotTime">The moment (UTC).</param>
public record class MetricsSnapshot(
    RequestStatistics RequestStats,
    IterationStatistics IterationStats,
    BatchStatistics BatchStats,
    ErrorStatistics ErrorStats,
    DateTime SnapshotTime);
