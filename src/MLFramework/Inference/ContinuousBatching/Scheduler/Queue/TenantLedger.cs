namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The tenants' virtual token counters: Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024), algorithm 2. Under the
/// queue's lock, but for <see cref="TenantAccount.Charge"/>.
/// </summary>
internal sealed class TenantLedger(QueuePolicy policy)
{
    /// <summary>Accounts kept before idle ones are looked through.</summary>
    private const int SweepThreshold = 4096;

    private readonly Dictionary<string, TenantAccount> _accounts = [];
    private readonly HashSet<TenantAccount> _waiting = [];
    private double _lastToLeave;
    private int _sweepAt = SweepThreshold;

    public IEnumerable<TenantAccount> Accounts => _accounts.Values;

    /// <summary>The account of a tenant, opened if need be.</summary>
    public TenantAccount Open(string tenant)
    {
        if (_accounts.TryGetValue(tenant, out TenantAccount? account))
        {
            return account;
        }

        if (_accounts.Count >= _sweepAt)
        {
            Sweep();
        }

        account = new TenantAccount(tenant, policy.TenantShares.GetValueOrDefault(tenant, 1));
        _accounts.Add(tenant, account);
        return account;
    }

    /// <summary>One more request of a tenant waits.</summary>
    public void StartWaiting(TenantAccount account)
    {
        if (account.WaitingCount++ == 0)
        {
            account.LiftTo(_waiting.Count == 0 ? _lastToLeave : LeastWaiting());
            _waiting.Add(account);
        }
    }

    /// <summary>One request fewer of a tenant waits.</summary>
    public void StopWaiting(TenantAccount account)
    {
        if (--account.WaitingCount == 0)
        {
            _waiting.Remove(account);
            _lastToLeave = account.Counter;
        }
    }

    private double LeastWaiting()
    {
        double least = double.PositiveInfinity;
        foreach (TenantAccount account in _waiting)
        {
            least = Math.Min(least, account.Counter);
        }

        return least;
    }

    /// <summary>
    /// Closes accounts that know nothing any more: nobody of the tenant is alive, and coming back it would be lifted above its counter
    /// anyway.
    /// </summary>
    private void Sweep()
    {
        double floor = _waiting.Count == 0 ? _lastToLeave : LeastWaiting();
        foreach ((string tenant, TenantAccount account) in _accounts)
        {
            if (account.LiveCount == 0 && account.Counter <= floor)
            {
                _accounts.Remove(tenant);
            }
        }

        _sweepAt = Math.Max(SweepThreshold, _accounts.Count * 2);
    }
}
