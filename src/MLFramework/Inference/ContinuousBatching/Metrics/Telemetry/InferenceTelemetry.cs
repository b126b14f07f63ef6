namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Names under which the scheduler's telemetry is listened to: <c>AddMeter(MeterName)</c>, <c>AddSource(ActivitySourceName)</c>.</summary>
/// <remarks>
/// Names, units, buckets and attributes that begin with <c>gen_ai</c> are those of the OpenTelemetry semantic conventions for generative
/// AI (model server metrics and inference spans); those that begin with <c>mlframework</c> are this library's own.
/// </remarks>
public static class InferenceTelemetry
{
    /// <summary>Name of the meter of every scheduler.</summary>
    public const string MeterName = "MLFramework.Inference";

    /// <summary>Name of the source of one activity per request.</summary>
    public const string ActivitySourceName = "MLFramework.Inference";
}
