namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// One tenant's virtual token counter: the weighted tokens that it was served, lifted when it comes back from having nothing to wait for.
/// </summary>
/// <remarks>
/// Two writers with a field each: the scheduler's owner thread charges service, and the queue, under its lock, lifts. The counter is
/// their sum, so neither overwrites the other.
/// </remarks>
internal sealed class TenantAccount
{
    private readonly double _share;
    private double _served;
    private double _lift;

    public TenantAccount(string name, double share)
    {
        Name = name;
        _share = share;
        for (int c = 0; c < Waiting.Length; c++)
        {
            Waiting[c] = new TenantQueue(this);
        }
    }

    public string Name { get; }

    /// <summary>Weighted tokens served over the tenant's share, plus lifts: the least is served next.</summary>
    public double Counter => Volatile.Read(ref _served) + _lift;

    /// <summary>Weighted tokens served over the tenant's share, without lifts.</summary>
    public double Served => Volatile.Read(ref _served);

    /// <summary>What the tenant has waiting, by priority class. Under the queue's lock.</summary>
    public TenantQueue[] Waiting { get; } = new TenantQueue[RequestQueue.Classes];

    /// <summary>Requests waiting, over all classes. Under the queue's lock.</summary>
    public int WaitingCount { get; set; }

    /// <summary>Requests of the tenant that are enqueued and not yet ended; while there are any, the account stays. Under the queue's lock.</summary>
    public int LiveCount { get; set; }

    /// <summary>Adds service. Owner thread only.</summary>
    public void Charge(double weightedTokens) => Volatile.Write(ref _served, _served + (weightedTokens / _share));

    /// <summary>
    /// A tenant that had nothing waiting starts no lower than <paramref name="floor"/>: time in which it asked for nothing is not saved up.
    /// Under the queue's lock.
    /// </summary>
    public void LiftTo(double floor) => _lift += Math.Max(0, floor - Counter);
}
