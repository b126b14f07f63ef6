using System.Text;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Waiting requests, handed out in the order of service: effective priority (class and aging), then the tenant served least, then
/// deadline, then arrival.
/// </summary>
/// <remarks>
/// Thread-safe. It bounds nothing itself: bounds are the scheduler's (<see cref="AdmissionLimits"/>). It works without a scheduler, in
/// which case a prompt that was not tokenized counts one token per UTF-8 byte.
/// </remarks>
public class RequestQueue : IDisposable
{
    /// <summary>Number of priority classes.</summary>
    internal const int Classes = 4;

    private readonly object _lock = new();
    private readonly TimeProvider _time;
    private readonly QueuePolicy _policy;
    private readonly long _origin;
    private readonly TenantLedger _ledger;
    private readonly WaitingLine _line;
    private readonly Dictionary<RequestId, Sequence> _byId;
    private long _arrivals;

    /// <summary>Threads inside <see cref="TryDequeue"/> that sleep; a scheduler's queue has none, and pays for no pulse.</summary>
    private int _waiters;
    private bool _disposed;

    /// <summary>Makes an empty queue.</summary>
    /// <param name="initialCapacity">Requests to reserve room for; not a bound.</param>
    /// <param name="policy">The order of service; null for <see cref="QueuePolicy.Default"/>.</param>
    /// <param name="timeProvider">Clock for arrival, aging and deadlines; null for the system's.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="initialCapacity"/> is negative, or a member of the policy is out of range.</exception>
    public RequestQueue(int initialCapacity = 100, QueuePolicy? policy = null, TimeProvider? timeProvider = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(initialCapacity);
        _policy = policy ?? QueuePolicy.Default;
        _policy.Validate();
        _time = timeProvider ?? TimeProvider.System;
        _origin = _time.GetTimestamp();
        _ledger = new TenantLedger(_policy);
        _line = new WaitingLine(_ledger);
        _byId = new Dictionary<RequestId, Sequence>(initialCapacity);
    }

    /// <summary>Requests waiting.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _line.Count;
            }
        }
    }

    /// <summary>Whether nothing waits.</summary>
    public bool IsEmpty => Count == 0;

    internal TimeProvider TimeProvider => _time;

    internal QueuePolicy Policy => _policy;

    /// <summary>
    /// The scheduler whose queue this is: what callers add goes through its checks, and what they take out it ends. Null for a queue that stands alone.
    /// </summary>
    internal IQueueOwner? Owner { get; set; }

    /// <summary>Adds a request. In a scheduler's queue it does what <see cref="ContinuousBatchScheduler.EnqueueAsync"/> does.</summary>
    /// <param name="request">The request.</param>
    /// <param name="priority">Its class, if higher than <see cref="Request.Priority"/>.</param>
    /// <exception cref="ArgumentNullException"><paramref name="request"/> is null.</exception>
    /// <exception cref="ArgumentException">A request of that id already waits, or its prompt is empty.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="priority"/> is not one of the four.</exception>
    /// <exception cref="ObjectDisposedException">The queue is disposed.</exception>
    public void Enqueue(Request request, Priority priority = Priority.Normal)
    {
        ArgumentNullException.ThrowIfNull(request);
        CheckPriority(priority);
        if (Owner is { } owner)
        {
            owner.Admit(request, priority);
            return;
        }

        Sequence sequence = request.Sequence ?? SequenceOf(request);
        if (sequence.PromptLength == 0)
        {
            throw new ArgumentException("The prompt is empty; there is nothing to continue.", nameof(request));
        }

        TryAdd(sequence, priority, limits: null);
    }

    /// <summary>Takes the next request, waiting for one to arrive.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The request, or null when the queue is disposed while waiting.</returns>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="ObjectDisposedException">The queue is disposed.</exception>
    public Request? Dequeue(CancellationToken cancellationToken = default) =>
        TryDequeue(Timeout.InfiniteTimeSpan, cancellationToken);

    /// <summary>Takes the next request, waiting at most <paramref name="timeout"/> for one to arrive.</summary>
    /// <param name="timeout">Longest wait; zero does not wait, <see cref="Timeout.InfiniteTimeSpan"/> waits on.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The request, or null when none came in time or the queue was disposed while waiting.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="timeout"/> is negative and not infinite.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="ObjectDisposedException">The queue is disposed.</exception>
    public Request? TryDequeue(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        if (timeout < TimeSpan.Zero && timeout != Timeout.InfiniteTimeSpan)
        {
            throw new ArgumentOutOfRangeException(nameof(timeout), timeout, "The timeout must be zero, positive or Timeout.InfiniteTimeSpan.");
        }

        cancellationToken.ThrowIfCancellationRequested();
        using CancellationTokenRegistration registration = cancellationToken.Register(WakeWaiters);
        long start = _time.GetTimestamp();
        using ITimer? timer = timeout > TimeSpan.Zero
            ? _time.CreateTimer(_ => WakeWaiters(), null, TimeLimits.ForTimer(timeout), Timeout.InfiniteTimeSpan)
            : null;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            while (!_disposed)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (TakeBest_NeedsLock() is { } sequence)
                {
                    return sequence.Request;
                }

                if (timeout != Timeout.InfiniteTimeSpan && _time.GetElapsedTime(start) >= timeout)
                {
                    return null;
                }

                _waiters++;
                Monitor.Wait(_lock);
                _waiters--;
            }

            return null;
        }
    }

    /// <summary>Takes a request out of the queue, if it waits there.</summary>
    /// <param name="requestId">Which request.</param>
    /// <returns>Whether it waited. A scheduler's request ends as cancelled, in the scheduler's next pass; a request enqueued by hand is the caller's again.</returns>
    public bool Remove(RequestId requestId) => Discard(requestId, cancel: false);

    /// <summary>Takes a request out of the queue and cancels its <see cref="Request.CompletionSource"/>.</summary>
    /// <param name="requestId">Which request.</param>
    /// <returns>Whether it waited.</returns>
    public bool MarkCancelled(RequestId requestId) => Discard(requestId, cancel: true);

    /// <summary>Takes the best requests out of the queue, by rank and then arrival.</summary>
    /// <param name="maxCount">Most requests to take.</param>
    /// <param name="memoryBudget">Most bytes of KV cache that they may need together: prompt and most generated tokens, at <see cref="QueuePolicy.EstimatedBytesPerToken"/>.</param>
    /// <returns>The requests, best first. The first that does not fit ends the list, so that a large request is not passed over for ever.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument is negative.</exception>
    public List<Request> GetRequests(int maxCount, long memoryBudget)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxCount);
        ArgumentOutOfRangeException.ThrowIfNegative(memoryBudget);
        var taken = new List<Request>();
        lock (_lock)
        {
            while (taken.Count < maxCount && _line.Best() is { } best)
            {
                long bytes = ((long)best.PromptLength + best.Request.MaxTokens) * _policy.EstimatedBytesPerToken;
                if (bytes > memoryBudget)
                {
                    break;
                }

                memoryBudget -= bytes;
                Take_NeedsLock(best);
                Detach_NeedsLock(best);
                taken.Add(best.Request);
            }
        }

        return taken;
    }

    /// <summary>Whether a request waits here.</summary>
    /// <param name="requestId">Which request.</param>
    public bool Contains(RequestId requestId)
    {
        lock (_lock)
        {
            return _byId.ContainsKey(requestId);
        }
    }

    /// <summary>Takes out everything that waits, cancelling it.</summary>
    public void Clear()
    {
        List<RequestId> all;
        lock (_lock)
        {
            all = [.. _byId.Keys];
        }

        foreach (RequestId id in all)
        {
            Discard(id, cancel: true);
        }
    }

    /// <summary>Cancels what waits and refuses everything from then on.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            Monitor.PulseAll(_lock);
        }

        Clear();
        GC.SuppressFinalize(this);
    }

    /// <summary>The sequence of a request that nobody tokenized: one token per UTF-8 byte.</summary>
    internal static Sequence SequenceOf(Request request)
    {
        if (request.PromptTokenIds is { } tokens)
        {
            return new Sequence(request, tokens.ToArray());
        }

        return new Sequence(request, Array.ConvertAll(Encoding.UTF8.GetBytes(request.Prompt), static b => (int)b));
    }

    /// <summary>Adds a sequence that is new, unless that would exceed a bound. Bounds are checked where they are counted, under one lock.</summary>
    /// <returns>Null when added, else the bound that was met.</returns>
    internal RejectionReason? TryAdd(Sequence sequence, Priority priority, AdmissionLimits? limits)
    {
        Request request = sequence.Request;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (limits is not null && _line.Count >= limits.MaxQueuedRequests)
            {
                return RejectionReason.TooManyRequests;
            }

            if (limits is not null && _line.TokenCount + sequence.PromptLength > limits.MaxQueuedTokens)
            {
                return RejectionReason.TooManyTokens;
            }

            if (!_byId.TryAdd(request.Id, sequence))
            {
                throw new ArgumentException($"Request {request.Id} already waits in this queue; give every request an id of its own (RequestId.New()).", nameof(sequence));
            }

            DateTimeOffset now = _time.GetUtcNow();
            long timestamp = _time.GetTimestamp();
            request.EnqueuedTime = now.UtcDateTime;
            request.Sequence = sequence;
            sequence.EnqueuedTimestamp = timestamp;
            long deadline = request.Deadline is { } d ? _time.TimestampAfter(timestamp, d - now) : long.MaxValue;
            sequence.LimitTimestamp = Math.Min(sequence.LimitTimestamp, deadline);
            sequence.Rank = new Rank(Math.Max((int)request.Priority, (int)priority), EpochOf(timestamp), deadline, _arrivals++);
            sequence.Account = _ledger.Open(request.TenantName);
            sequence.Account.LiveCount++;
            _line.Add(sequence);
            sequence.IsAdmitted = true;
            if (_waiters > 0)
            {
                Monitor.Pulse(_lock);
            }

            return null;
        }
    }

    /// <summary>Takes back a sequence that was preempted: it stands before everything of its class that never ran.</summary>
    internal void Requeue(Sequence sequence)
    {
        lock (_lock)
        {
            sequence.WasPreempted = true;
            _byId.Add(sequence.Request.Id, sequence);
            _line.Add(sequence);
        }
    }

    /// <summary>The request to serve next, or null; it stays in the queue.</summary>
    internal Sequence? PeekBest()
    {
        lock (_lock)
        {
            return _line.Best();
        }
    }

    /// <summary>Takes a certain sequence out.</summary>
    /// <returns>False when somebody else already has.</returns>
    internal bool TryTake(Sequence sequence)
    {
        lock (_lock)
        {
            if (sequence.State != SequenceState.Waiting)
            {
                return false;
            }

            Take_NeedsLock(sequence);
            return true;
        }
    }

    /// <summary>Takes out the waiting sequence whose time limit passed first, if any has by <paramref name="timestamp"/>.</summary>
    internal Sequence? TakeExpired(long timestamp)
    {
        lock (_lock)
        {
            Sequence? expired = _line.TakeExpired(timestamp);
            if (expired is not null)
            {
                _byId.Remove(expired.Request.Id);
            }

            return expired;
        }
    }

    /// <summary>Timestamp of the earliest time limit among those that wait; <see cref="long.MaxValue"/> for none.</summary>
    internal long NextLimit()
    {
        lock (_lock)
        {
            return _line.NextLimit();
        }
    }

    /// <summary>A sequence has ended: its tenant's account may be closed.</summary>
    internal void Detach(Sequence sequence)
    {
        lock (_lock)
        {
            Detach_NeedsLock(sequence);
        }
    }

    /// <summary>How many requests, and how many prompt tokens of all, wait ahead of a new one of a class.</summary>
    internal (int Requests, long Tokens) CountAhead(Priority priority)
    {
        lock (_lock)
        {
            return _line.CountAhead((int)priority);
        }
    }

    /// <summary>The tenants' accounts, for reports.</summary>
    internal List<TenantAccount> Accounts()
    {
        lock (_lock)
        {
            return [.. _ledger.Accounts];
        }
    }

    /// <summary>What waits, in no order, for invariants and reports.</summary>
    internal List<Sequence> Snapshot()
    {
        lock (_lock)
        {
            return [.. _byId.Values];
        }
    }

    internal static void CheckPriority(Priority priority)
    {
        if (priority is < Priority.Low or > Priority.Urgent)
        {
            throw new ArgumentOutOfRangeException(nameof(priority), priority, "The priority must be Low, Normal, High or Urgent.");
        }
    }

    private bool Discard(RequestId requestId, bool cancel)
    {
        Sequence? sequence;
        lock (_lock)
        {
            if (!_byId.TryGetValue(requestId, out sequence))
            {
                return false;
            }

            if (Owner is null)
            {
                Take_NeedsLock(sequence);
                Detach_NeedsLock(sequence);
            }
        }

        if (Owner is { } owner)
        {
            return owner.Cancel(sequence);
        }

        if (cancel)
        {
            sequence.State = SequenceState.Ended;
            sequence.Request.IsCompleted = true;
            sequence.Request.CompletionSource.TrySetCanceled();
        }

        return true;
    }

    private Sequence? TakeBest_NeedsLock()
    {
        if (_line.Best() is not { } best)
        {
            return null;
        }

        Take_NeedsLock(best);
        Detach_NeedsLock(best);
        return best;
    }

    private void Take_NeedsLock(Sequence sequence)
    {
        _line.Remove(sequence);
        _byId.Remove(sequence.Request.Id);
    }

    private static void Detach_NeedsLock(Sequence sequence)
    {
        if (sequence.Account is { } account)
        {
            account.LiveCount--;
            sequence.Account = null;
        }
    }

    private void WakeWaiters()
    {
        lock (_lock)
        {
            Monitor.PulseAll(_lock);
        }
    }

    private long EpochOf(long timestamp) => _time.GetElapsedTime(_origin, timestamp).Ticks / _policy.AgingInterval.Ticks;
}
