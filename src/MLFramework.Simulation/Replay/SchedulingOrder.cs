namespace MLFramework.Simulation;

/// <summary>What of a request the queue gets to see, and so in which order it serves.</summary>
public enum SchedulingOrder
{
    /// <summary>All: priority, aging, tenant fairness, arrival. As in production.</summary>
    Full,

    /// <summary>Arrival only.</summary>
    FirstComeFirstServed,

    /// <summary>Priority and aging; tenants are not told apart.</summary>
    Priority,

    /// <summary>Tenants by least service, then arrival; priorities are not told apart.</summary>
    TenantFair,
}
