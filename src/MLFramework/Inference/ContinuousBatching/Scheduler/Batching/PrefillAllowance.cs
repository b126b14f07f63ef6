namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What is left, within one plan, of the limits on prefill.</summary>
internal struct PrefillAllowance
{
    private readonly int _chunkSize;
    private readonly long _bytesPerToken;
    private int _requests;
    private int _tokens;
    private long _bytes;

    public PrefillAllowance(PrefillConfiguration configuration, int tokens, long bytesPerToken)
    {
        _chunkSize = configuration.PrefillChunkSize;
        _bytesPerToken = bytesPerToken;
        _requests = configuration.MaxPrefillBatchSize;
        _tokens = tokens;

        // One token at least, or nothing could ever start.
        _bytes = Math.Max(configuration.MaxPrefillMemoryBytes, bytesPerToken);
    }

    /// <summary>Positions that a sequence with <paramref name="remaining"/> to go may compute; 0 for none.</summary>
    public readonly int ChunkFor(int remaining)
    {
        if (_requests == 0)
        {
            return 0;
        }

        long byMemory = _bytesPerToken == 0 ? long.MaxValue : _bytes / _bytesPerToken;
        return (int)Math.Min(Math.Min(remaining, _chunkSize), Math.Min(_tokens, byMemory));
    }

    public void Use(int tokens)
    {
        _requests--;
        _tokens -= tokens;
        _bytes -= tokens * _bytesPerToken;
    }
}
