namespace MLFramework.Serving;

/// <summary>A request on its way through the batcher, and the promise of its response.</summary>
/// <typeparam name="TRequest">Type of the payload.</typeparam>
/// <typeparam name="TResponse">Type of the response.</typeparam>
/// <remarks>
/// One object is list node, completion source and cancellation state at once: a request without timeout costs this and its
/// <see cref="Task{TResult}"/>, about 170 bytes. Its response is set exactly once, whoever comes first: processor, cancellation, timeout or shutdown.
/// </remarks>
public sealed class QueuedRequest<TRequest, TResponse> : TaskCompletionSource<TResponse>
{
    private CancellationTokenRegistration _cancellation;
    private ITimer? _timeout;

    /// <summary>Makes a request that waits for its response.</summary>
    /// <param name="request">The payload.</param>
    /// <param name="priority">Its class.</param>
    /// <param name="cost">Its share of <see cref="BatchingConfiguration.MaxBatchCost"/>; at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="priority"/> is undefined or <paramref name="cost"/> is negative.</exception>
    public QueuedRequest(TRequest request, RequestPriority priority = RequestPriority.Normal, int cost = 1)
        : base(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        if (priority is < RequestPriority.Low or > RequestPriority.Critical)
        {
            throw new ArgumentOutOfRangeException(nameof(priority), priority, $"The priority must be one of {string.Join(", ", Enum.GetNames<RequestPriority>())}, but is {priority}.");
        }

        ArgumentOutOfRangeException.ThrowIfNegative(cost);
        Request = request;
        Level = (sbyte)priority;
        Cost = cost;
    }

    /// <summary>The payload.</summary>
    public TRequest Request { get; }

    /// <summary>The request's class.</summary>
    public RequestPriority Priority => (RequestPriority)Level;

    /// <summary>The request's share of <see cref="BatchingConfiguration.MaxBatchCost"/>.</summary>
    public int Cost { get; }

    /// <summary>Where the response is set and awaited.</summary>
    public TaskCompletionSource<TResponse> ResponseSource => this;

    /// <summary>When the request was submitted, as a timestamp of the batcher's <see cref="TimeProvider"/>.</summary>
    internal long SubmittedAt { get; set; }

    /// <summary>Who holds the request now: the queue, then its batch. Set under the queue's lock.</summary>
    internal IRequestOwner<TRequest, TResponse>? Owner { get; set; }

    /// <summary>Where the request is; guarded by the queue's lock.</summary>
    internal RequestStage Stage { get; set; }

    /// <summary>Neighbours in a <see cref="RequestList{TRequest,TResponse}"/>; guarded by the queue's lock.</summary>
    internal QueuedRequest<TRequest, TResponse>? Next { get; set; }

    /// <inheritdoc cref="Next"/>
    internal QueuedRequest<TRequest, TResponse>? Previous { get; set; }

    private sbyte Level { get; }

    /// <summary>Ends the request as cancelled when <paramref name="cancellationToken"/> fires. Call before the request is queued.</summary>
    internal void CancelWith(CancellationToken cancellationToken)
    {
        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken.UnsafeRegister(
                static (state, token) => ((QueuedRequest<TRequest, TResponse>)state!).Cancel(token), this);
        }
    }

    /// <summary>Starts the clock of <see cref="BatchingConfiguration.RequestTimeout"/>. Call before the request is queued.</summary>
    internal void ExpireAfter(TimeSpan timeout, RequestTimeoutAction action, TimeProvider clock) =>
        _timeout = clock.CreateTimer(
            action == RequestTimeoutAction.Reject
                ? static state => ((QueuedRequest<TRequest, TResponse>)state!).Expire()
                : static state => ((QueuedRequest<TRequest, TResponse>)state!).MarkOverdue(),
            this,
            timeout,
            Timeout.InfiniteTimeSpan);

    /// <summary>Hands the caller its response; false when the caller has gone.</summary>
    internal bool Deliver(TResponse response)
    {
        Release();
        return TrySetResult(response);
    }

    /// <summary>Hands the caller an exception; false when the caller has gone.</summary>
    internal bool Fail(Exception exception)
    {
        Release();
        return TrySetException(exception);
    }

    /// <summary>Takes the request out of the queue, if it is there, and ends it as cancelled.</summary>
    internal void Cancel(CancellationToken cancellationToken)
    {
        // Out of the queue first: when the caller sees the cancellation, the queue's count no longer includes it.
        Owner?.Withdraw(this);
        if (TrySetCanceled(cancellationToken))
        {
            Abandon(RequestOutcome.Cancelled);
        }
    }

    private void Expire()
    {
        Owner?.Withdraw(this);
        if (TrySetException(new TimeoutException(
            $"No response came within {nameof(BatchingConfiguration.RequestTimeout)}. The request was withdrawn, or its response will be discarded; raise the timeout or reduce the load.")))
        {
            Abandon(RequestOutcome.TimedOut);
        }
    }

    private void MarkOverdue()
    {
        if (!Task.IsCompleted)
        {
            Owner?.OnOverdue();
        }
    }

    private void Abandon(RequestOutcome outcome)
    {
        Release();
        Owner?.OnAbandoned(outcome);
    }

    /// <summary>Lets go of token and timer.</summary>
    internal void Release()
    {
        // Unregister, not Dispose: it must not wait for a callback that runs on another thread.
        _cancellation.Unregister();
        _timeout?.Dispose();
    }
}
