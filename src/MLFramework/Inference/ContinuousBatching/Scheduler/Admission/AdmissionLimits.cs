namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Bounds of what may wait. A request beyond them is refused at once with <see cref="RequestRejectedException"/>.</summary>
/// <param name="MaxQueuedRequests">Most requests that wait for their first iteration.</param>
/// <param name="MaxQueuedTokens">Most prompt tokens of requests that wait for their first iteration.</param>
/// <param name="MaxQueueDelay">
/// Longest estimated wait at which a request is still taken; null for no such bound. Set it to the time to first token that is
/// worth anything: under overload the queue then holds what can still be served in time, instead of what no longer can.
/// </param>
public record class AdmissionLimits(
    int MaxQueuedRequests = 10_000,
    long MaxQueuedTokens = 16L * 1024 * 1024,
    TimeSpan? MaxQueueDelay = null)
{
    /// <summary>The defaults.</summary>
    public static readonly AdmissionLimits Default = new();

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is not positive.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxQueuedRequests, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxQueuedTokens, 1);
        if (MaxQueueDelay is { } delay)
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(delay, TimeSpan.Zero, nameof(MaxQueueDelay));
        }
    }
}
