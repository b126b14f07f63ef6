namespace MLFramework.Serving;

/// <summary>How a request ended. Each ends in exactly one of these.</summary>
internal enum RequestOutcome
{
    /// <summary>With a response.</summary>
    Completed,

    /// <summary>With an exception of the processor.</summary>
    Failed,

    /// <summary>Cancelled by its caller or by a shutdown.</summary>
    Cancelled,

    /// <summary>Given up after <see cref="BatchingConfiguration.RequestTimeout"/>.</summary>
    TimedOut,

    /// <summary>Refused by a full queue.</summary>
    Rejected,

    /// <summary>Dropped from a full queue.</summary>
    Dropped,
}
