namespace MLFramework.Inference.ContinuousBatching;

/// <summary>All errors since the collector was made or reset.</summary>
/// <param name="TotalErrors">Errors recorded.</param>
/// <param name="ErrorsByType">How many of each kind; the caller's own copy.</param>
/// <param name="ErrorRate">
/// Errors per request that ended, as a fraction; 0 while none has ended. A batch that fails is an error each time it is tried, so the
/// rate may exceed 1.
/// </param>
/// <param name="LastErrorTime">When the last error was recorded (UTC); <see cref="DateTime.MinValue"/> when there was none.</param>
public record class ErrorStatistics(
    long TotalErrors,
    Dictionary<string, long> ErrorsByType,
    double ErrorRate,
    DateTime LastErrorTime)
{
    /// <summary>Message of the last error; null when there was none.</summary>
    public string? LastErrorMessage { get; init; }
}
