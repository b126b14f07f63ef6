namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What one tenant has waiting in one priority class, in the order of rank. Under the queue's lock.</summary>
/// <remarks>
/// Requests without a deadline arrive in the order of their rank and stand in a linked list, so that the usual request costs O(1) in and
/// out; requests with one stand in a tree.
/// </remarks>
internal sealed class TenantQueue(TenantAccount account)
{
    private static readonly Comparer<Sequence> s_byRank = Comparer<Sequence>.Create((a, b) => a.Rank.CompareTo(b.Rank));

    private readonly SortedSet<Sequence> _withDeadline = new(s_byRank);
    private Sequence? _first;
    private Sequence? _last;

    public TenantAccount Account { get; } = account;

    public bool IsEmpty => _first is null && _withDeadline.Count == 0;

    /// <summary>The best of them, or null.</summary>
    public Sequence? Best
    {
        get
        {
            if (_withDeadline.Count == 0)
            {
                return _first;
            }

            Sequence urgent = _withDeadline.Min!;
            return _first is null || urgent.Rank.IsAbove(_first.Rank) ? urgent : _first;
        }
    }

    public void Add(Sequence sequence)
    {
        if (sequence.Rank.Deadline != long.MaxValue)
        {
            _withDeadline.Add(sequence);
            return;
        }

        sequence.Previous = _last;
        sequence.Next = null;
        if (_last is null)
        {
            _first = sequence;
        }
        else
        {
            _last.Next = sequence;
        }

        _last = sequence;
    }

    public void Remove(Sequence sequence)
    {
        if (sequence.Rank.Deadline != long.MaxValue)
        {
            _withDeadline.Remove(sequence);
            return;
        }

        if (sequence.Previous is null)
        {
            _first = sequence.Next;
        }
        else
        {
            sequence.Previous.Next = sequence.Next;
        }

        if (sequence.Next is null)
        {
            _last = sequence.Previous;
        }
        else
        {
            sequence.Next.Previous = sequence.Previous;
        }

        sequence.Previous = sequence.Next = null;
    }
}
