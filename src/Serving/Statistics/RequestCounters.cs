namespace MLFramework.Serving;

/// <summary>Lifetime totals of requests.</summary>
internal sealed class RequestCounters
{
    private readonly long[] _ended = new long[(int)RequestOutcome.Dropped + 1];
    private long _overdue;
    private long _submitted;

    /// <summary>Requests that reached the queue, with or without success. Written under the queue's lock only.</summary>
    public long Submitted
    {
        get => Volatile.Read(ref _submitted);
        set => Volatile.Write(ref _submitted, value);
    }

    /// <summary>Requests that outlived their timeout and went on.</summary>
    public long Overdue => Volatile.Read(ref _overdue);

    public long this[RequestOutcome outcome] => Volatile.Read(ref _ended[(int)outcome]);

    public void Add(RequestOutcome outcome, int count) => Interlocked.Add(ref _ended[(int)outcome], count);

    public void AddOverdue() => Interlocked.Increment(ref _overdue);
}
