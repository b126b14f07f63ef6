namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A scheduler's levels at the moment that somebody asks for them.</summary>
internal readonly record struct SchedulerGauges
{
    /// <summary>Requests that wait for their first iteration or, preempted, for their next.</summary>
    public int QueuedRequests { get; init; }

    /// <summary>Prompt tokens of those.</summary>
    public long QueuedTokens { get; init; }

    /// <summary>Requests that hold KV blocks.</summary>
    public int RunningRequests { get; init; }

    /// <summary>KV blocks that requests hold.</summary>
    public int ReferencedBlocks { get; init; }

    /// <summary>KV blocks that nobody holds and whose content is kept for reuse.</summary>
    public int CachedBlocks { get; init; }

    /// <summary>KV blocks with nothing in them.</summary>
    public int FreeBlocks { get; init; }

    /// <summary>Share of the KV blocks that requests hold, 0–1.</summary>
    public double BlockUtilization => ReferencedBlocks / Math.Max(1.0, ReferencedBlocks + CachedBlocks + FreeBlocks);
}
