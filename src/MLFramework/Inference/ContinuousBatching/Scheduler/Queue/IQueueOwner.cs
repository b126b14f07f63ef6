namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A scheduler, seen from its queue.</summary>
internal interface IQueueOwner
{
    /// <summary>Takes a request that a caller put into the queue directly.</summary>
    void Admit(Request request, Priority priority);

    /// <summary>Ends a waiting sequence as cancelled; it leaves the queue when the owner thread carries that out.</summary>
    /// <returns>Whether this call is what ends it.</returns>
    bool Cancel(Sequence sequence);
}
