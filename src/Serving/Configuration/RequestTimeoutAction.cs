namespace MLFramework.Serving;

/// <summary>What happens to a request that has had no response within <see cref="BatchingConfiguration.RequestTimeout"/>.</summary>
public enum RequestTimeoutAction
{
    /// <summary>Its caller gets a <see cref="TimeoutException"/>. If it still waits it leaves the queue unprocessed; in flight, its response is discarded.</summary>
    Reject,

    /// <summary>It keeps its place and is answered late; <see cref="QueueStatistics.OverdueRequests"/> counts it.</summary>
    Continue,
}
