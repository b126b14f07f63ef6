namespace MLFramework.Serving;

/// <summary>
/// A bounded, ranked queue whose consumers ask for batches: a consumer is woken once a batch is due by count, cost or age,
/// not for each request.
/// </summary>
/// <typeparam name="TRequest">Type of the payloads.</typeparam>
/// <typeparam name="TResponse">Type of the responses.</typeparam>
/// <remarks>
/// Thread-safe. One lock guards everything and is held for a few links of a list; requests are completed and consumers woken
/// outside it. A woken consumer takes its batch itself, with all that has come in meanwhile.
/// </remarks>
public sealed class BoundedRequestQueue<TRequest, TResponse> : IRequestOwner<TRequest, TResponse>, IDisposable
{
    private readonly Lock _lock = new();
    private readonly TimestampClock _clock;
    private readonly QueueFullPolicy _fullPolicy;
    private readonly TimeSpan _maxEnqueueWait;
    private readonly long _maxEnqueueWaitTicks;
    private readonly RankedRequests<TRequest, TResponse> _waiting;
    private readonly RankedRequests<TRequest, TResponse> _overflow;
    private readonly ConsumerRoster _consumers = new();
    private readonly Alarm _alarm;
    private readonly bool _preservesOrder;

    private BatchRule _rule = BatchRule.Immediate;
    private Task _lastDelivery = Task.CompletedTask;
    private bool _closed;

    /// <summary>Makes a queue that refuses requests when full.</summary>
    /// <param name="maxSize">The most requests that may wait; at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxSize"/> is less than 1.</exception>
    public BoundedRequestQueue(int maxSize)
        : this(new BatchingConfiguration { MaxQueueSize = maxSize }, new TimestampClock(TimeProvider.System), new RequestCounters())
    {
    }

    internal BoundedRequestQueue(BatchingConfiguration configuration, TimestampClock clock, RequestCounters counters)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(configuration.MaxQueueSize, 1, "maxSize");
        Capacity = configuration.MaxQueueSize;
        Counters = counters;
        _clock = clock;
        _fullPolicy = configuration.QueueFullPolicy;
        _maxEnqueueWait = configuration.MaxEnqueueWait;
        _maxEnqueueWaitTicks = clock.ToTicks(configuration.MaxEnqueueWait);
        _preservesOrder = configuration.PreserveOrder;
        long aging = clock.ToTicks(configuration.PriorityAging);
        _waiting = new RankedRequests<TRequest, TResponse>(aging);
        _overflow = new RankedRequests<TRequest, TResponse>(aging);
        _alarm = new Alarm(clock, OnAlarm);
    }

    /// <summary>The most requests that may wait.</summary>
    public int Capacity { get; }

    /// <summary>How many requests wait.</summary>
    public int Count => _waiting.Count;

    /// <summary>Whether the next request finds no room.</summary>
    public bool IsFull => Count >= Capacity;

    /// <summary>Whether nothing waits.</summary>
    public bool IsEmpty => Count == 0;

    /// <summary>How many requests wait for room, beyond <see cref="Capacity"/>.</summary>
    internal int OverflowCount => _overflow.Count;

    internal RequestCounters Counters { get; }

    /// <summary>Queues a request if there is room.</summary>
    /// <param name="request">A request that was never queued before.</param>
    /// <param name="cancellationToken">Takes the request out of the queue again and ends it as cancelled.</param>
    /// <returns>False when the queue is full. Completes at once: waiting for room is the batcher's, under <see cref="QueueFullPolicy.Wait"/>.</returns>
    /// <exception cref="ArgumentException"><paramref name="request"/> was queued before.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> had already fired.</exception>
    /// <exception cref="ObjectDisposedException">The queue takes no more requests.</exception>
    public ValueTask<bool> TryEnqueueAsync(QueuedRequest<TRequest, TResponse> request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Owner is not null)
        {
            throw new ArgumentException("The request was queued before. Make a new one for each submission.", nameof(request));
        }

        cancellationToken.ThrowIfCancellationRequested();
        request.Owner = this;
        request.CancelWith(cancellationToken);
        EnqueueResult result = Enqueue(request);
        if (result is EnqueueResult.Full or EnqueueResult.Closed)
        {
            request.Release();
            ObjectDisposedException.ThrowIf(result == EnqueueResult.Closed, this);
        }

        return ValueTask.FromResult(result != EnqueueResult.Full);
    }

    /// <summary>Takes up to <paramref name="maxCount"/> requests, best rank first, whether or not a batch is due.</summary>
    /// <param name="maxCount">The most to take; at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxCount"/> is negative.</exception>
    public List<QueuedRequest<TRequest, TResponse>> Dequeue(int maxCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxCount);
        var taken = new List<QueuedRequest<TRequest, TResponse>>();
        using (BeginChange(_clock.Now))
        {
            while (taken.Count < maxCount && _waiting.Best() is { } request)
            {
                Leave_NeedsLock(_waiting, request);
                taken.Add(request);
            }
        }

        return taken;
    }

    /// <summary>Frees the queue's timer.</summary>
    public void Dispose() => _alarm.Dispose();

    /// <inheritdoc/>
    void IRequestOwner<TRequest, TResponse>.Withdraw(QueuedRequest<TRequest, TResponse> request)
    {
        using (BeginChange(_clock.Now))
        {
            switch (request.Stage)
            {
                case RequestStage.New:
                    request.Stage = RequestStage.Left; // Enqueue will see it
                    break;
                case RequestStage.Overflow:
                    Leave_NeedsLock(_overflow, request);
                    break;
                case RequestStage.Queued:
                    Leave_NeedsLock(_waiting, request);
                    break;
            }
        }
    }

    /// <inheritdoc/>
    void IRequestOwner<TRequest, TResponse>.OnAbandoned(RequestOutcome outcome) => Counters.Add(outcome, 1);

    /// <inheritdoc/>
    void IRequestOwner<TRequest, TResponse>.OnOverdue() => Counters.AddOverdue();

    /// <summary>Sets when a consumer gets a batch. Until then: whenever anything waits.</summary>
    internal void SetRule(BatchingConfiguration configuration)
    {
        using (BeginChange(_clock.Now))
        {
            _rule = BatchRule.For(configuration, _clock);
        }
    }

    /// <summary>Moves the size at which a batch goes out without further waiting.</summary>
    internal void SetTargetSize(int targetSize)
    {
        using (BeginChange(_clock.Now))
        {
            _rule = _rule with { TargetSize = targetSize };
        }
    }

    /// <summary>Queues a request, or does with it what the policy for a full queue says.</summary>
    internal EnqueueResult Enqueue(QueuedRequest<TRequest, TResponse> request)
    {
        long now = _clock.Now; // outside the lock: reading the clock is the longest part of an enqueue
        QueuedRequest<TRequest, TResponse>? dropped = null;
        using (BeginChange(now))
        {
            if (_closed)
            {
                return EnqueueResult.Closed;
            }

            Counters.Submitted++;
            if (request.Stage != RequestStage.New)
            {
                return EnqueueResult.Ended;
            }

            request.Owner = this;
            request.SubmittedAt = now;
            if (_waiting.Count >= Capacity)
            {
                switch (_fullPolicy)
                {
                    case QueueFullPolicy.Wait:
                        request.Stage = RequestStage.Overflow;
                        _overflow.Add(request);
                        _alarm.RingBy(_overflow.Oldest()!.SubmittedAt + _maxEnqueueWaitTicks, now);
                        return EnqueueResult.Accepted;
                    case QueueFullPolicy.DropOldest when _waiting.LowestOldest() is { } lowest && lowest.Priority <= request.Priority:
                        dropped = lowest;
                        Leave_NeedsLock(_waiting, dropped);
                        break;
                    default:
                        request.Stage = RequestStage.Left;
                        return EnqueueResult.Full;
                }
            }

            request.Stage = RequestStage.Queued;
            _waiting.Add(request);
        }

        if (dropped is not null && dropped.Fail(new RequestDroppedException()))
        {
            Counters.Add(RequestOutcome.Dropped, 1);
        }

        return EnqueueResult.Accepted;
    }

    /// <summary>Takes a batch if one is due; else registers a consumer.</summary>
    /// <param name="wasWoken">Whether the caller comes because a signal from here woke it.</param>
    /// <param name="signal">Without a batch: completes when it is worth asking again.</param>
    /// <returns>A batch; an empty one when the queue is closed and nothing will ever come; null when the caller must wait for <paramref name="signal"/>.</returns>
    internal RequestBatch<TRequest, TResponse>? TryTakeBatch(bool wasWoken, out TaskCompletionSource? signal)
    {
        signal = null;
        long now = _clock.Now;
        using (BeginChange(now))
        {
            if (wasWoken)
            {
                _consumers.Returned();
            }

            if (IsDue_NeedsLock(_waiting.Count, now))
            {
                return Take_NeedsLock(now);
            }

            if (_closed && _waiting.Count == 0)
            {
                return new RequestBatch<TRequest, TResponse>(0, now, Counters);
            }

            signal = _consumers.Register();
            return null;
        }
    }

    /// <summary>Takes back a consumer that no longer waits. What a signal has promised it passes to the next one.</summary>
    internal void Unregister(TaskCompletionSource signal)
    {
        using (BeginChange(_clock.Now))
        {
            _consumers.GaveUp(signal);
        }
    }

    /// <summary>Accepts no more requests. Consumers take what still waits without holding it back, then get empty batches.</summary>
    /// <param name="cancelWaiting">Whether what waits ends as cancelled instead.</param>
    internal void Close(bool cancelWaiting)
    {
        List<QueuedRequest<TRequest, TResponse>> cancelled = [];
        using (BeginChange(_clock.Now))
        {
            _closed = true;
            if (cancelWaiting)
            {
                MoveAll_NeedsLock(_waiting, cancelled);
                MoveAll_NeedsLock(_overflow, cancelled);
            }
        }

        cancelled.ForEach(request => request.Cancel(new CancellationToken(canceled: true)));
    }

    private static void MoveAll_NeedsLock(RankedRequests<TRequest, TResponse> requests, List<QueuedRequest<TRequest, TResponse>> destination)
    {
        while (requests.Best() is { } request)
        {
            Leave_NeedsLock(requests, request);
            destination.Add(request);
        }
    }

    private static void Leave_NeedsLock(RankedRequests<TRequest, TResponse> requests, QueuedRequest<TRequest, TResponse> request)
    {
        requests.Remove(request);
        request.Stage = RequestStage.Left;
    }

    private RequestBatch<TRequest, TResponse> Take_NeedsLock(long now)
    {
        var batch = new RequestBatch<TRequest, TResponse>(Math.Min(_rule.MaxSize, _waiting.Count), now, Counters);
        while (_waiting.Best() is { } request && _rule.Fits(batch.Requests.Count, batch.Cost, request.Cost))
        {
            Leave_NeedsLock(_waiting, request);
            batch.Add(request);
        }

        if (_preservesOrder)
        {
            _lastDelivery = batch.DeliverAfter(_lastDelivery);
        }

        return batch;
    }

    private void OnAlarm()
    {
        List<QueuedRequest<TRequest, TResponse>> refused = [];
        long now = _clock.Now;
        using (BeginChange(now))
        {
            _alarm.Rang();
            while (_overflow.Oldest() is { } oldest && now - oldest.SubmittedAt >= _maxEnqueueWaitTicks)
            {
                Leave_NeedsLock(_overflow, oldest);
                refused.Add(oldest);
            }

            if (_overflow.Oldest() is { } next)
            {
                _alarm.RingBy(next.SubmittedAt + _maxEnqueueWaitTicks, now);
            }
        }

        foreach (QueuedRequest<TRequest, TResponse> request in refused)
        {
            if (request.Fail(QueueFullError.Create(Capacity, _maxEnqueueWait)))
            {
                Counters.Add(RequestOutcome.Rejected, 1);
            }
        }
    }

    /// <summary>Enters the lock for a change of state. At its end <see cref="Settle_NeedsLock"/> follows up.</summary>
    private Change BeginChange(long now)
    {
        _lock.Enter();
        return new Change(this, now);
    }

    /// <summary>After any change: fills freed room, then picks the consumer to wake or sets the alarm for the next due time.</summary>
    /// <returns>The consumer to wake once the lock is released, or null. One is enough: its own change settles again.</returns>
    private TaskCompletionSource? Settle_NeedsLock(long now)
    {
        while (_overflow.Count > 0 && _waiting.Count < Capacity)
        {
            QueuedRequest<TRequest, TResponse> admitted = _overflow.Best()!;
            _overflow.Remove(admitted);
            admitted.Stage = RequestStage.Queued;
            _waiting.Add(admitted);
        }

        if (!_consumers.HasIdle)
        {
            return null;
        }

        // A woken consumer will take up to a full batch of what waits now: only the rest can be due for another one.
        int unclaimed = (int)Math.Max(0, _waiting.Count - ((long)_consumers.Woken * _rule.MaxSize));
        if (IsDue_NeedsLock(unclaimed, now) || (_closed && _waiting.Count == 0))
        {
            return _consumers.Wake(); // to a batch, or to the news that nothing will come
        }

        if (unclaimed > 0 && _consumers.Woken == 0)
        {
            _alarm.RingBy(_waiting.Oldest()!.SubmittedAt + _rule.MaxHoldTicks, now);
        }

        return null;
    }

    private bool IsDue_NeedsLock(int unclaimed, long now)
    {
        if (unclaimed == 0)
        {
            return false;
        }

        if (unclaimed >= _rule.TargetSize || _closed)
        {
            return true; // the common case under load, without a look at the ages
        }

        // Cost and age are those of the batch that a woken consumer is about to take.
        return _consumers.Woken == 0 && _rule.IsDue(unclaimed, _waiting.Cost, now - _waiting.Oldest()!.SubmittedAt);
    }

    /// <summary>A change under the lock: its end settles, leaves the lock and wakes whom that concerns.</summary>
    private readonly ref struct Change(BoundedRequestQueue<TRequest, TResponse> queue, long now)
    {
        public void Dispose()
        {
            TaskCompletionSource? consumer = queue.Settle_NeedsLock(now);
            queue._lock.Exit();
            consumer?.TrySetResult();
        }
    }
}
