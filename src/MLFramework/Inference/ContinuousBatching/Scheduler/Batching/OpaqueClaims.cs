namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Claims on a cache that only tells bytes: asked for more as a sequence grows, within the memory limit; nothing is shared.</summary>
internal sealed class OpaqueClaims(IKVCacheManager cache, long maxMemoryBytes) : ICacheClaims
{
    /// <summary>Room is asked for in steps of this many tokens.</summary>
    private const int Step = 16;

    private long _held;

    public long BytesPerToken { get; private set; }

    public long UsageBytes => cache.GetCurrentUsageBytes();

    public long MaxSequenceTokens => BytesPerToken == 0 ? long.MaxValue : maxMemoryBytes / BytesPerToken;

    public bool HasRoom => _held < maxMemoryBytes;

    public void Attach(Sequence sequence) => sequence.ComputedTokens = 0;

    public bool FitsBeside(Sequence sequence, IReadOnlyList<Sequence> running)
    {
        long needed = sequence.TokenCount;
        for (int i = 0; i < running.Count; i++)
        {
            needed += Math.Max(0, running[i].TokenCount - running[i].OpaqueTokens);
        }

        return _held + (needed * BytesPerToken) <= maxMemoryBytes;
    }

    public bool TryReserve(Sequence sequence, int end, List<BlockCopy> copies)
    {
        if (end > sequence.OpaqueTokens && !TryGrow(sequence, end))
        {
            return false;
        }

        return _held <= maxMemoryBytes;
    }

    public void Commit(Sequence sequence)
    {
        // What is computed lies where it was reserved; there is no index to keep.
    }

    public void Release(Sequence sequence)
    {
        if (sequence.OpaqueTokens > 0)
        {
            cache.ReleaseCache(sequence.Request.Id);
        }

        _held -= sequence.OpaqueBytes;
        sequence.OpaqueBytes = 0;
        sequence.OpaqueTokens = 0;
        sequence.ComputedTokens = 0;
    }

    private bool TryGrow(Sequence sequence, int end)
    {
        int tokens = Math.Max(end, sequence.TokenCount);
        tokens = (tokens + Step - 1) / Step * Step;
        long bytes;
        try
        {
            bytes = Math.Max(0, cache.AllocateCache(sequence.Request.Id, tokens));
        }
        catch (Exception e) when (e is InvalidOperationException or InsufficientMemoryException)
        {
            // The contract's way to say "not now": the planner makes room or waits.
            return false;
        }

        _held += bytes - sequence.OpaqueBytes;
        sequence.OpaqueBytes = bytes;
        sequence.OpaqueTokens = tokens;
        BytesPerToken = Math.Max(BytesPerToken, bytes / tokens);
        return true;
    }
}
