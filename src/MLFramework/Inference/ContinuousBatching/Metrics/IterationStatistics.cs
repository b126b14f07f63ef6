namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// All iterations. The total counts since the collector was made or reset; averages come from the kept samples; the rate is taken
/// over the window.
/// </summary>
/// <param name="TotalIterations">Iterations recorded.</param>
/// <param name="AverageRequestsPerIteration">Mean requests computed, rounded down.</param>
/// <param name="AverageTokensPerIteration">Mean tokens generated, rounded down.</param>
/// <param name="AverageMemoryBytesPerIteration">Mean bytes of KV cache in use.</param>
/// <param name="AverageProcessingTimeMs">Mean duration in milliseconds.</param>
/// <param name="IterationsPerSecond">Iterations per second.</param>
/// <param name="AverageUtilization">
/// Mean batch size over the configured maximum, in percent, 0–100, of the iterations for which it was told; 0 when of none.
/// </param>
public record class IterationStatistics(
    long TotalIterations,
    int AverageRequestsPerIteration,
    int AverageTokensPerIteration,
    double AverageMemoryBytesPerIteration,
    double AverageProcessingTimeMs,
    double IterationsPerSecond,
    double AverageUtilization);
