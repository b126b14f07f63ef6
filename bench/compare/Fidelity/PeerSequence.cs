namespace MLFramework.Compare;

/// <summary>A sequence in llama.cpp.</summary>
/// <param name="model">The model.</param>
/// <param name="length">Most tokens.</param>
/// <param name="threads">Threads that compute.</param>
/// <param name="flashAttention">Whether attention is computed block by block with an online softmax.</param>
/// <param name="cacheInSingles">Whether keys and values are stored as F32.</param>
internal sealed class PeerSequence(PeerModel model, int length, int threads, bool flashAttention, bool cacheInSingles = false) : ISequence
{
    private readonly PeerContext _context = new(model, 1, length, threads, flashAttention, cacheInSingles);
    private int _length;

    /// <inheritdoc/>
    public ReadOnlySpan<float> Append(ReadOnlySpan<int> tokens)
    {
        _context.Clear();
        for (int i = 0; i < tokens.Length; i++) _context.Add(tokens[i], _length + i, 0, wantsLogits: i == tokens.Length - 1);
        _context.Decode();
        _length += tokens.Length;
        return _context.Logits(tokens.Length - 1);
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _context.Reset();
        _length = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => _context.Dispose();
}
