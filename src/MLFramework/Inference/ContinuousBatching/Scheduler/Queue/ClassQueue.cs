namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// What waits in one priority class. Its next request is the first of those that were preempted; else the best of the tenant
/// that was served least. Under the queue's lock.
/// </summary>
internal sealed class ClassQueue(int priorityClass)
{
    private readonly List<Sequence> _preempted = [];
    private readonly List<TenantQueue> _tenants = [];

    /// <summary>The next request of this class, or null.</summary>
    public Sequence? Best
    {
        get
        {
            if (_preempted.Count > 0)
            {
                return _preempted[0];
            }

            Sequence? best = null;
            double least = double.PositiveInfinity;
            foreach (TenantQueue tenant in _tenants)
            {
                double counter = tenant.Account.Counter;
                Sequence candidate = tenant.Best!;
                if (counter < least || (counter == least && candidate.Rank.IsAbove(best!.Rank)))
                {
                    best = candidate;
                    least = counter;
                }
            }

            return best;
        }
    }

    public void Add(Sequence sequence)
    {
        if (sequence.WasPreempted)
        {
            // Usually one or two: an insertion keeps them in the order of rank.
            int at = _preempted.Count;
            while (at > 0 && sequence.Rank.IsAbove(_preempted[at - 1].Rank))
            {
                at--;
            }

            _preempted.Insert(at, sequence);
            return;
        }

        TenantQueue tenant = sequence.Account!.Waiting[priorityClass];
        if (tenant.IsEmpty)
        {
            _tenants.Add(tenant);
        }

        tenant.Add(sequence);
    }

    public void Remove(Sequence sequence)
    {
        if (sequence.WasPreempted)
        {
            _preempted.Remove(sequence);
            return;
        }

        TenantQueue tenant = sequence.Account!.Waiting[priorityClass];
        tenant.Remove(sequence);
        if (tenant.IsEmpty)
        {
            _tenants.Remove(tenant);
        }
    }
}
