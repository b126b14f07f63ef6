namespace MLFramework.Serving;

/// <summary>
/// The error of a full queue: an <see cref="InvalidOperationException"/>, as the specification has it, marked so that a caller can tell it from
/// one that the processor threw.
/// </summary>
public static class QueueFullError
{
    private const string Mark = "MLFramework.Serving.QueueCapacity";

    /// <summary>Whether an exception says that the queue was full: the request was not processed and may be submitted again later.</summary>
    /// <param name="exception">What <c>ProcessAsync</c> ended in.</param>
    public static bool Is(Exception? exception) => exception is InvalidOperationException && exception.Data.Contains(Mark);

    /// <summary>Makes the error.</summary>
    /// <param name="capacity">The most requests that may wait.</param>
    /// <param name="waited">How long the request waited for room; zero when it was refused at once.</param>
    internal static InvalidOperationException Create(int capacity, TimeSpan waited)
    {
        string message = waited == TimeSpan.Zero
            ? $"Request queue is full ({capacity} requests wait). Please retry later, or raise {nameof(BatchingConfiguration.MaxQueueSize)}."
            : $"Request queue is full ({capacity} requests wait) and no room came free in {waited.TotalMilliseconds:0} ms. Please retry later, or raise {nameof(BatchingConfiguration.MaxQueueSize)} or {nameof(BatchingConfiguration.MaxEnqueueWait)}.";
        return new InvalidOperationException(message) { Data = { [Mark] = capacity } };
    }
}
