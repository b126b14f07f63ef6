namespace MLFramework.Serving;

/// <summary>What becomes of a request that finds the queue full.</summary>
public enum QueueFullPolicy
{
    /// <summary>It is refused at once with an <see cref="InvalidOperationException"/> (<see cref="QueueFullError"/>).</summary>
    Reject,

    /// <summary>It waits for room, by rank, for at most <see cref="BatchingConfiguration.MaxEnqueueWait"/>; then it is refused.</summary>
    Wait,

    /// <summary>
    /// It takes the place of the oldest waiting request of the lowest priority, which ends in a <see cref="RequestDroppedException"/>.
    /// A newcomer that ranks below everything in the queue is refused instead.
    /// </summary>
    DropOldest,
}
