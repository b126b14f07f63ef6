namespace MLFramework.Serving;

/// <summary>Requests that go to the processor together.</summary>
/// <typeparam name="TRequest">Type of the payloads.</typeparam>
/// <typeparam name="TResponse">Type of the responses.</typeparam>
public sealed class RequestBatch<TRequest, TResponse> : IRequestOwner<TRequest, TResponse>
{
    private readonly RequestCounters _counters;
    private Abandonment? _abandonment;
    private TaskCompletionSource? _delivered;
    private int _callers;

    internal RequestBatch(int capacity, long takenAt, RequestCounters counters)
    {
        Requests = new List<QueuedRequest<TRequest, TResponse>>(capacity);
        TakenAt = takenAt;
        _counters = counters;
    }

    /// <summary>The requests, best rank first. Empty when the queue is closed and nothing will ever come.</summary>
    public List<QueuedRequest<TRequest, TResponse>> Requests { get; }

    /// <summary>The summed cost of the requests.</summary>
    public long Cost { get; private set; }

    /// <summary>When the batch left the queue, as a timestamp of the batcher's clock.</summary>
    internal long TakenAt { get; }

    /// <summary>Completes when the batch may deliver responses.</summary>
    internal Task Turn { get; private set; } = Task.CompletedTask;

    /// <summary>The payloads of <see cref="Requests"/>, in their order, in a list of the caller's own.</summary>
    public List<TRequest> GetPayloads() => PayloadsOf(Requests);

    /// <inheritdoc/>
    void IRequestOwner<TRequest, TResponse>.Withdraw(QueuedRequest<TRequest, TResponse> request)
    {
        // In flight a request cannot be taken back: its response will be discarded.
    }

    /// <inheritdoc/>
    void IRequestOwner<TRequest, TResponse>.OnAbandoned(RequestOutcome outcome)
    {
        _counters.Add(outcome, 1);
        if (Interlocked.Decrement(ref _callers) == 0)
        {
            CancelProcessing();
        }
    }

    /// <inheritdoc/>
    void IRequestOwner<TRequest, TResponse>.OnOverdue() => _counters.AddOverdue();

    internal static List<TRequest> PayloadsOf(List<QueuedRequest<TRequest, TResponse>> requests)
    {
        var payloads = new List<TRequest>(requests.Count);
        foreach (QueuedRequest<TRequest, TResponse> request in requests)
        {
            payloads.Add(request.Request);
        }

        return payloads;
    }

    /// <summary>Adds a request; under the queue's lock, before anybody else sees the batch.</summary>
    internal void Add(QueuedRequest<TRequest, TResponse> request)
    {
        Requests.Add(request);
        Cost += request.Cost;
        request.Owner = this;
        _callers++;
    }

    /// <summary>Makes the batch deliver after <paramref name="predecessor"/>.</summary>
    /// <returns>Completes when this batch has delivered.</returns>
    internal Task DeliverAfter(Task predecessor)
    {
        Turn = predecessor;
        _delivered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return _delivered.Task;
    }

    /// <summary>Lets the batches that deliver after this one go on.</summary>
    internal void EndTurn() => _delivered?.TrySetResult();

    /// <summary>A token that fires when every caller has gone. What a processor has registered with it runs on <paramref name="scheduler"/>: whoever cancelled a request must not wait for that.</summary>
    internal CancellationToken TrackCallers(TaskScheduler scheduler)
    {
        var abandonment = new Abandonment(new CancellationTokenSource(), scheduler);
        Volatile.Write(ref _abandonment, abandonment);
        if (Volatile.Read(ref _callers) == 0)
        {
            CancelProcessing();
        }

        return abandonment.Source.Token;
    }

    /// <summary>Ends every request of the batch that is still unanswered as cancelled.</summary>
    internal void Cancel() => Requests.ForEach(request => request.Cancel(new CancellationToken(canceled: true)));

    private void CancelProcessing()
    {
        if (Volatile.Read(ref _abandonment) is { } abandonment)
        {
            Task.Factory.StartNew(abandonment.Source.Cancel, CancellationToken.None, TaskCreationOptions.DenyChildAttach, abandonment.Scheduler);
        }
    }

    private sealed record Abandonment(CancellationTokenSource Source, TaskScheduler Scheduler);
}
