namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// What one request computes in one iteration: positions <see cref="Start"/> to <see cref="End"/> of its sequence
/// (prompt, then generated tokens), over the KV blocks of <see cref="BlockIds"/>. A decode is one position; a prefill
/// chunk is any number.
/// </summary>
/// <remarks>
/// The spans are views of the scheduler's state, valid until the executor's task for the batch ends. An executor that goes
/// on after its cancellation token fired must not read them again.
/// </remarks>
public readonly struct ScheduledTokens
{
    private readonly Sequence _sequence;

    internal ScheduledTokens(Sequence sequence, int start, int count)
    {
        _sequence = sequence;
        Start = start;
        Count = count;
        ProducesToken = start + count == sequence.TokenCount;
    }

    /// <summary>The request.</summary>
    public Request Request => _sequence.Request;

    /// <summary>First position to compute: everything before it is in the KV cache.</summary>
    public int Start { get; }

    /// <summary>Positions to compute, at least one.</summary>
    public int Count { get; }

    /// <summary>One past the last position to compute.</summary>
    public int End => Start + Count;

    /// <summary>
    /// Whether the executor shall sample a token after the last position. False for a prefill chunk that does not reach
    /// the end of the sequence: a token reported for it is ignored.
    /// </summary>
    public bool ProducesToken { get; }

    /// <summary>Whether these positions belong to the prompt or repeat tokens after a preemption, rather than decode one new token.</summary>
    public bool IsPrefill => Count > 1 || Start < _sequence.PromptLength;

    /// <summary>Token ids at the positions to compute; length <see cref="Count"/>.</summary>
    public ReadOnlySpan<int> TokenIds => _sequence.Tokens(Start, Count);

    /// <summary>
    /// KV block ids of positions 0 to <see cref="End"/>, in order: position p lies in <c>BlockIds[p / blockSize]</c> at
    /// offset <c>p % blockSize</c>. Empty when the cache manager is not paged.
    /// </summary>
    public ReadOnlySpan<int> BlockIds => _sequence.Blocks.Ids;

    internal Sequence Sequence => _sequence;
}
