namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One request that ended, as the collector keeps it.</summary>
/// <param name="RequestId">The request.</param>
/// <param name="TokensGenerated">Tokens generated.</param>
/// <param name="Reason">Why it ended.</param>
/// <param name="QueueTime">From accepted to first scheduled.</param>
/// <param name="ProcessingTime">From first scheduled to ended.</param>
/// <param name="TotalTime">From accepted to ended: its latency.</param>
/// <param name="CompletedTime">When it was recorded (UTC).</param>
public record class RequestMetrics(
    RequestId RequestId,
    int TokensGenerated,
    CompletionReason Reason,
    TimeSpan QueueTime,
    TimeSpan ProcessingTime,
    TimeSpan TotalTime,
    DateTime CompletedTime);
