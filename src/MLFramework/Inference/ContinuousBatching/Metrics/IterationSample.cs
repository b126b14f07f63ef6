namespace MLFramework.Inference.ContinuousBatching;

/// <summary>An <see cref="IterationMetrics"/> as it lies in the collector's buffer: a struct, so that recording allocates nothing.</summary>
/// <param name="Measurement">The iteration; its utilization is not a number until it is told.</param>
/// <param name="Timestamp">When it was recorded (UTC).</param>
internal readonly record struct IterationSample(IterationMeasurement Measurement, DateTime Timestamp)
{
    public bool HasUtilization => !double.IsNaN(Measurement.Utilization);

    public IterationMetrics ToMetrics() => new(
        Measurement.IterationNumber,
        Measurement.RequestCount,
        Measurement.TokensGenerated,
        Measurement.RequestsCompleted,
        Measurement.ProcessingTime,
        Measurement.MemoryBytesUsed,
        Timestamp)
    {
        PrefillTokens = Measurement.PrefillTokens,
        ExecutionTime = Measurement.ExecutionTime,
        Utilization = HasUtilization ? Measurement.Utilization : null,
    };
}
