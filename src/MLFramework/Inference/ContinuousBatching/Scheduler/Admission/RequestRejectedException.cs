namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Why a request was refused.</summary>
public enum RejectionReason
{
    /// <summary>As many requests wait as may (<see cref="AdmissionLimits.MaxQueuedRequests"/>).</summary>
    TooManyRequests,

    /// <summary>As many prompt tokens wait as may (<see cref="AdmissionLimits.MaxQueuedTokens"/>).</summary>
    TooManyTokens,

    /// <summary>The estimated wait is longer than allowed (<see cref="AdmissionLimits.MaxQueueDelay"/>).</summary>
    QueueDelay,

    /// <summary>The deadline has passed, or would before the request could start.</summary>
    DeadlineUnreachable,

    /// <summary>The scheduler has been stopped.</summary>
    Stopped,
}

/// <summary>
/// The scheduler refused a request before taking it: nothing of it remains. The reason says which bound was met, and
/// <see cref="EstimatedWait"/> when to try again.
/// </summary>
public sealed class RequestRejectedException : InvalidOperationException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="reason">Which bound was met.</param>
    /// <param name="estimatedWait">How long a request accepted now would wait; null when unknown.</param>
    /// <param name="message">What happened and what to do.</param>
    public RequestRejectedException(RejectionReason reason, TimeSpan? estimatedWait, string message)
        : base(message)
    {
        Reason = reason;
        EstimatedWait = estimatedWait;
    }

    /// <summary>Which bound was met.</summary>
    public RejectionReason Reason { get; }

    /// <summary>How long a request accepted now would have waited; null when unknown.</summary>
    public TimeSpan? EstimatedWait { get; }
}
