namespace MLFramework.Serving;

/// <summary>A waiting request gave its place to a newer one under <see cref="QueueFullPolicy.DropOldest"/>; it was not processed.</summary>
public sealed class RequestDroppedException : InvalidOperationException
{
    /// <summary>Makes the exception.</summary>
    public RequestDroppedException()
        : base($"The request was dropped unprocessed: the queue was full and {nameof(QueueFullPolicy.DropOldest)} made room for a newer one. Submit it again if it still matters.")
    {
    }
}
