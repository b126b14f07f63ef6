namespace MLFramework.Serving;

/// <summary>Whoever holds a request: first the queue, then a batch.</summary>
internal interface IRequestOwner<TRequest, TResponse>
{
    /// <summary>Lets go of a request that will not be processed, if that is still possible.</summary>
    void Withdraw(QueuedRequest<TRequest, TResponse> request);

    /// <summary>The caller of a held request has gone, with <paramref name="outcome"/>.</summary>
    void OnAbandoned(RequestOutcome outcome);

    /// <summary>A held request has outlived its timeout and goes on.</summary>
    void OnOverdue();
}
