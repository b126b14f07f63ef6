namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Why a running request gave up its KV blocks, to be computed again later.</summary>
public enum PreemptionReason
{
    /// <summary>A request of higher rank needed the blocks to go on.</summary>
    HigherRankNeededBlocks,

    /// <summary>It needed a block itself, and nobody of lower rank held one.</summary>
    NoBlocksLeft,
}
