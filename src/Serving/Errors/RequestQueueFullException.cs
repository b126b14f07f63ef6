namespace MLFramework.Serving;

/// <summary>The queue has no room for a request; it was not processed and may be submitted again later.</summary>
public sealed class RequestQueueFullException : InvalidOperationException
{
    /// <summary>Makes the exception for a queue of <paramref name="capacity"/>.</summary>
    /// <param name="capacity">The most requests that may wait.</param>
    /// <param name="waited">How long the request waited for room; zero when it was refused at once.</param>
    public RequestQueueFullException(int capacity, TimeSpan waited)
        : base(waited == TimeSpan.Zero
            ? $"Request queue is full ({capacity} requests wait). Please retry later, or raise {nameof(BatchingConfiguration.MaxQueueSize)}."
            : $"Request queue is full ({capacity} requests wait) and no room came free in {waited.TotalMilliseconds:0} ms. Please retry later, or raise {nameof(BatchingConfiguration.MaxQueueSize)} or {nameof(BatchingConfiguration.MaxEnqueueWait)}.") =>
        Capacity = capacity;

    /// <summary>The most requests that may wait.</summary>
    public int Capacity { get; }
}
