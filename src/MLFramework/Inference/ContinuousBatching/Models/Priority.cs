namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The class of service that a request asks for. Waiting lifts a request by one class per aging interval
/// (<see cref="QueuePolicy.AgingInterval"/>), so that no class waits for ever.
/// </summary>
public enum Priority
{
    /// <summary>Work that may wait, such as batch jobs.</summary>
    Low = 0,

    /// <summary>The default.</summary>
    Normal = 1,

    /// <summary>Work that a person waits for.</summary>
    High = 2,

    /// <summary>Work that comes first whenever it fits.</summary>
    Urgent = 3,
}
