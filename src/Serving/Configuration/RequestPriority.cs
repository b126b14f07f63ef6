namespace MLFramework.Serving;

/// <summary>Class of a request: a higher class is taken into batches first, tempered by <see cref="BatchingConfiguration.PriorityAging"/>.</summary>
public enum RequestPriority
{
    /// <summary>Work that can wait, such as backfills.</summary>
    Low = -1,

    /// <summary>The class of a request that states none.</summary>
    Normal = 0,

    /// <summary>Work that somebody waits for.</summary>
    High = 1,

    /// <summary>Work that goes before everything else, such as health probes.</summary>
    Critical = 2,
}
