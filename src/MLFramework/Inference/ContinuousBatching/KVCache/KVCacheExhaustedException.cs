namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The KV cache has no room for what was asked. Nothing was changed.</summary>
public sealed class KVCacheExhaustedException : InvalidOperationException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="neededBlocks">Blocks that the call would have had to claim.</param>
    /// <param name="availableBlocks">Blocks that could be claimed.</param>
    /// <param name="totalBlocks">Blocks in the pool.</param>
    public KVCacheExhaustedException(int neededBlocks, int availableBlocks, int totalBlocks)
        : base($"The KV cache is exhausted: {neededBlocks} more blocks are needed, {availableBlocks} of {totalBlocks} are available. "
            + "Release a request and try again, run fewer or shorter requests at once, or configure a larger pool (KVCacheConfiguration.TotalBlocks).")
    {
        NeededBlocks = neededBlocks;
        AvailableBlocks = availableBlocks;
    }

    /// <summary>Blocks that the call would have had to claim.</summary>
    public int NeededBlocks { get; }

    /// <summary>Blocks that could be claimed: free, or cached and referenced by nobody.</summary>
    public int AvailableBlocks { get; }
}
