namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The order of waiting requests: effective priority (class and aging), then the tenant served least, then deadline, then arrival.
/// Knows nothing of threads; <see cref="RequestQueue"/> holds the lock.
/// </summary>
internal sealed class WaitingLine(TenantLedger ledger)
{
    private readonly ClassQueue[] _classes = [new(0), new(1), new(2), new(3)];
    private readonly int[] _requests = new int[RequestQueue.Classes];
    private readonly long[] _tokens = new long[RequestQueue.Classes];
    private readonly PriorityQueue<Sequence, long> _limits = new();

    public int Count { get; private set; }

    /// <summary>Prompt tokens of all that wait.</summary>
    public long TokenCount { get; private set; }

    /// <summary>
    /// What waits in a class and those above it: what a new request of that class finds ahead of it, aging aside.
    /// </summary>
    public (int Requests, long Tokens) CountAhead(int priorityClass)
    {
        int requests = 0;
        long tokens = 0;
        for (int c = priorityClass; c < RequestQueue.Classes; c++)
        {
            requests += _requests[c];
            tokens += _tokens[c];
        }

        return (requests, tokens);
    }

    public void Add(Sequence sequence)
    {
        sequence.State = SequenceState.Waiting;
        ledger.StartWaiting(sequence.Account!);
        _classes[sequence.Rank.Class].Add(sequence);
        _requests[sequence.Rank.Class]++;
        _tokens[sequence.Rank.Class] += sequence.PromptLength;
        Count++;
        TokenCount += sequence.PromptLength;
        if (sequence.LimitTimestamp != long.MaxValue)
        {
            _limits.Enqueue(sequence, sequence.LimitTimestamp);
        }
    }

    public void Remove(Sequence sequence)
    {
        _classes[sequence.Rank.Class].Remove(sequence);
        ledger.StopWaiting(sequence.Account!);
        _requests[sequence.Rank.Class]--;
        _tokens[sequence.Rank.Class] -= sequence.PromptLength;
        Count--;
        TokenCount -= sequence.PromptLength;
        sequence.State = SequenceState.New;
        CompactLimits();
    }

    /// <summary>The request to serve next, or null. Each class names its own by fairness; of those the highest effective priority is taken.</summary>
    public Sequence? Best()
    {
        Sequence? best = null;
        foreach (ClassQueue queue in _classes)
        {
            Sequence? candidate = queue.Best;
            if (candidate is not null && (best is null || candidate.Rank.IsAbove(best.Rank)))
            {
                best = candidate;
            }
        }

        return best;
    }

    /// <summary>Timestamp of the earliest time limit among those that wait; <see cref="long.MaxValue"/> for none.</summary>
    public long NextLimit()
    {
        DropStaleLimits();
        return _limits.TryPeek(out _, out long limit) ? limit : long.MaxValue;
    }

    /// <summary>Takes out the request whose time limit passed first, if any has by <paramref name="timestamp"/>.</summary>
    public Sequence? TakeExpired(long timestamp)
    {
        DropStaleLimits();
        if (!_limits.TryPeek(out Sequence? sequence, out long limit) || limit > timestamp)
        {
            return null;
        }

        _limits.Dequeue();
        Remove(sequence);
        return sequence;
    }

    private void DropStaleLimits()
    {
        while (_limits.TryPeek(out Sequence? sequence, out _) && sequence.State != SequenceState.Waiting)
        {
            _limits.Dequeue();
        }
    }

    /// <summary>Entries of requests that no longer wait are dropped when they come up, or here when they are too many.</summary>
    private void CompactLimits()
    {
        if (_limits.Count <= 64 + (2 * Count))
        {
            return;
        }

        var live = new HashSet<Sequence>();
        foreach ((Sequence sequence, _) in _limits.UnorderedItems)
        {
            if (sequence.State == SequenceState.Waiting)
            {
                live.Add(sequence);
            }
        }

        _limits.Clear();
        foreach (Sequence sequence in live)
        {
            _limits.Enqueue(sequence, sequence.LimitTimestamp);
        }
    }
}
