namespace MLFramework.Simulation;

/// <summary>A distribution of durations, in milliseconds. Quantiles are by nearest rank, within 0.4 %.</summary>
/// <param name="Count">Samples.</param>
/// <param name="Mean">Arithmetic mean.</param>
/// <param name="P50">Median.</param>
/// <param name="P90">90th percentile.</param>
/// <param name="P95">95th percentile.</param>
/// <param name="P99">99th percentile.</param>
/// <param name="Max">Largest, exact.</param>
public sealed record class LatencySummary(long Count, double Mean, double P50, double P90, double P95, double P99, double Max);
