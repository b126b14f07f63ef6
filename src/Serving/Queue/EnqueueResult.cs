namespace MLFramework.Serving;

/// <summary>What became of an attempt to queue a request.</summary>
internal enum EnqueueResult
{
    /// <summary>It waits, in the queue or for room in it; its task tells the rest.</summary>
    Accepted,

    /// <summary>The queue is full.</summary>
    Full,

    /// <summary>The queue takes no more requests.</summary>
    Closed,

    /// <summary>The request was cancelled, or queued, before.</summary>
    Ended,
}
