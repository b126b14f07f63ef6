namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Claims on a paged cache: blocks on demand, prefixes shared.</summary>
internal sealed class PagedClaims(IPagedKVCache cache, long maxMemoryBytes) : ICacheClaims
{
    private readonly long _maxBlocks = Math.Min(cache.TotalBlocks, maxMemoryBytes / Math.Max(1, cache.BytesPerToken * cache.BlockSize));

    public long BytesPerToken => cache.BytesPerToken;

    public long UsageBytes => (long)cache.ReferencedBlocks * cache.BlockSize * cache.BytesPerToken;

    public long MaxSequenceTokens => _maxBlocks * cache.BlockSize;

    public bool HasRoom => Claimable > 0;

    /// <summary>Blocks that may be claimed now: what the pool has, within the memory limit.</summary>
    private long Claimable => Math.Min(cache.AvailableBlocks, _maxBlocks - cache.ReferencedBlocks);

    public void Attach(Sequence sequence)
    {
        if (sequence.Request.FirstSample?.Sequence is { State: SequenceState.Running } first
            && first.ComputedTokens >= sequence.PromptLength && sequence.TokenCount == sequence.PromptLength)
        {
            // The last position is computed again, on a copy of its block: its logits start this sample's own text.
            cache.Fork(first.Blocks, sequence.Blocks, sequence.PromptLength);
            sequence.ComputedTokens = sequence.PromptLength - 1;
            return;
        }

        sequence.ComputedTokens = cache.Attach(sequence.Blocks, sequence.Tokens(0, sequence.TokenCount), sequence.Salt);
    }

    public bool FitsBeside(Sequence sequence, IReadOnlyList<Sequence> running)
    {
        long needed = Missing(sequence);
        for (int i = 0; i < running.Count; i++)
        {
            Sequence other = running[i];
            if (!other.IsDecoding)
            {
                needed += Missing(other);
            }
        }

        // One block in a hundred stays free while others run, so that their next tokens do not preempt at once.
        long headroom = running.Count == 0 ? 0 : Math.Max(1, _maxBlocks / 100);
        return needed + headroom <= Claimable;
    }

    public bool TryReserve(Sequence sequence, int end, List<BlockCopy> copies)
    {
        if (Claimable < cache.CountMissing(sequence.Blocks, sequence.ComputedTokens, end))
        {
            return false;
        }

        return cache.TryReserve(sequence.Blocks, sequence.ComputedTokens, end, copies);
    }

    public void Commit(Sequence sequence) => cache.Commit(sequence.Blocks, sequence.Tokens(0, sequence.ComputedTokens));

    public void Release(Sequence sequence)
    {
        cache.Release(sequence.Blocks);
        sequence.ComputedTokens = 0;
    }

    private int Missing(Sequence sequence) => cache.CountMissing(sequence.Blocks, sequence.ComputedTokens, sequence.TokenCount);
}
