namespace MLFramework.Serving;

/// <summary>Waiting requests by rank: class of priority plus waiting time, in units of the aging interval. Not thread-safe.</summary>
/// <remarks>
/// All requests age at the same rate, so the rank of two never changes between them: the order is that of submission time minus
/// class × aging interval. Within a class that is arrival order, so the best request is the best among the heads of the classes.
/// </remarks>
/// <param name="agingTicks">Waiting time worth one class, in timestamp ticks; <see cref="long.MaxValue"/> never ages.</param>
internal sealed class RankedRequests<TRequest, TResponse>(long agingTicks)
{
    private const int LowestLevel = (int)RequestPriority.Low;
    private const int LevelCount = (int)RequestPriority.Critical - LowestLevel + 1;

    // Clamped so that class × aging cannot overflow; 2^59 ticks of a nanosecond are 18 years.
    private readonly long _agingTicks = Math.Min(agingTicks, 1L << 59);
    private readonly RequestList<TRequest, TResponse>[] _levels = [.. Enumerable.Range(0, LevelCount).Select(_ => new RequestList<TRequest, TResponse>())];
    private int _count;

    /// <summary>How many wait. May be read without the lock that guards the rest.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Their summed cost.</summary>
    public long Cost { get; private set; }

    public void Add(QueuedRequest<TRequest, TResponse> request)
    {
        LevelOf(request).Append(request);
        Volatile.Write(ref _count, _count + 1);
        Cost += request.Cost;
    }

    public void Remove(QueuedRequest<TRequest, TResponse> request)
    {
        LevelOf(request).Remove(request);
        Volatile.Write(ref _count, _count - 1);
        Cost -= request.Cost;
    }

    /// <summary>The request of the highest rank, or null.</summary>
    public QueuedRequest<TRequest, TResponse>? Best()
    {
        QueuedRequest<TRequest, TResponse>? best = null;
        long bestKey = 0;
        for (int level = LevelCount - 1; level >= 0; level--)
        {
            if (_levels[level].Head is { } head && head.SubmittedAt - (level * _agingTicks) is var key && (best is null || key < bestKey))
            {
                (best, bestKey) = (head, key);
            }
        }

        return best;
    }

    /// <summary>The request that was submitted first, or null.</summary>
    public QueuedRequest<TRequest, TResponse>? Oldest()
    {
        QueuedRequest<TRequest, TResponse>? oldest = null;
        foreach (RequestList<TRequest, TResponse> level in _levels)
        {
            if (level.Head is { } head && (oldest is null || head.SubmittedAt < oldest.SubmittedAt))
            {
                oldest = head;
            }
        }

        return oldest;
    }

    /// <summary>The oldest request of the lowest class that has any, or null.</summary>
    public QueuedRequest<TRequest, TResponse>? LowestOldest() =>
        Array.Find(_levels, level => level.Head is not null)?.Head;

    private RequestList<TRequest, TResponse> LevelOf(QueuedRequest<TRequest, TResponse> request) =>
        _levels[(int)request.Priority - LowestLevel];
}
