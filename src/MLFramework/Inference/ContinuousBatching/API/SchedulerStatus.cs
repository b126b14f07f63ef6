namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The scheduler at one moment.</summary>
/// <param name="IsRunning">Whether its loop runs.</param>
/// <param name="ActiveRequests">Requests that hold KV blocks.</param>
/// <param name="QueuedRequests">Requests that wait.</param>
/// <param name="CompletedRequests">Requests that have ended with a response since the scheduler was made.</param>
/// <param name="GpuUtilization">Utilization of the device, in percent; where no device tells, the share of the last ten seconds in which the executor computed.</param>
/// <param name="MemoryUtilization">KV cache that running requests hold, in percent.</param>
/// <param name="LastUpdateTime">When this was read (UTC).</param>
public record class SchedulerStatus(
    bool IsRunning,
    int ActiveRequests,
    int QueuedRequests,
    int CompletedRequests,
    double GpuUtilization,
    double MemoryUtilization,
    DateTime LastUpdateTime);
