namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What the planner needs of a KV cache, paged or opaque. Owner thread only.</summary>
internal interface ICacheClaims
{
    /// <summary>Bytes that one token takes; 0 while unknown.</summary>
    long BytesPerToken { get; }

    /// <summary>Bytes that running sequences hold.</summary>
    long UsageBytes { get; }

    /// <summary>Most tokens that one sequence could hold if it ran alone.</summary>
    long MaxSequenceTokens { get; }

    /// <summary>Whether anything more can be claimed at all.</summary>
    bool HasRoom { get; }

    /// <summary>
    /// Gives a sequence that holds nothing the blocks of its cached prefix, or, for a further sample, those of the first sample's
    /// prompt, and sets <see cref="Sequence.ComputedTokens"/>.
    /// </summary>
    void Attach(Sequence sequence);

    /// <summary>Whether all of an attached sequence's tokens fit now, beside what running sequences were promised and some room to grow.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="running">The running sequences, some of which are still to claim the blocks of their prompts.</param>
    bool FitsBeside(Sequence sequence, IReadOnlyList<Sequence> running);

    /// <summary>Makes the positions from <see cref="Sequence.ComputedTokens"/> to <paramref name="end"/> writable; all or nothing.</summary>
    bool TryReserve(Sequence sequence, int end, List<BlockCopy> copies);

    /// <summary>The positions before <see cref="Sequence.ComputedTokens"/> hold keys and values now.</summary>
    void Commit(Sequence sequence);

    /// <summary>Gives back all that a sequence holds; it then has nothing computed.</summary>
    void Release(Sequence sequence);
}
