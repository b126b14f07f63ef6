namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The paged side of a KV cache: blocks claimed on demand, shared between sequences with the same prefix, copied on write.
/// Owner thread only. A method that returns false has changed nothing.
/// </summary>
internal interface IPagedKVCache
{
    /// <summary>Tokens per block.</summary>
    int BlockSize { get; }

    /// <summary>Blocks in the pool: always free + cached + referenced.</summary>
    int TotalBlocks { get; }

    /// <summary>Blocks that hold nothing.</summary>
    int FreeBlocks { get; }

    /// <summary>Blocks that hold a registered prefix and that no sequence references: reusable, and evicted when blocks run out.</summary>
    int CachedBlocks { get; }

    /// <summary>Blocks that at least one sequence references.</summary>
    int ReferencedBlocks { get; }

    /// <summary>Blocks that can be claimed now: free and cached.</summary>
    int AvailableBlocks => FreeBlocks + CachedBlocks;

    /// <summary>Bytes of keys and values per token, over all layers.</summary>
    long BytesPerToken { get; }

    /// <summary>
    /// Gives an empty table the longest run of registered full blocks that equals the beginning of <paramref name="tokens"/>
    /// under <paramref name="salt"/>.
    /// </summary>
    /// <returns>
    /// Positions that need not be computed. At most <c>tokens.Length − 1</c>: the last position is always computed, since its logits
    /// are needed. When it lies in a matched block, <see cref="TryReserve"/> copies that block or takes it back.
    /// </returns>
    int Attach(BlockTable table, ReadOnlySpan<int> tokens, string salt);

    /// <summary>How many positions <see cref="Attach"/> would find, without taking them.</summary>
    int CountCached(ReadOnlySpan<int> tokens, string salt);

    /// <summary>Blocks that <see cref="TryReserve"/> would have to claim for the same arguments, copies included.</summary>
    int CountMissing(BlockTable table, int start, int end);

    /// <summary>
    /// Makes positions <paramref name="start"/> to <paramref name="end"/> (exclusive) writable: claims missing blocks, evicting cached ones,
    /// and copies a block that others share or that longer prefixes build upon. A registered block that nobody else uses is taken out of
    /// the index instead, until it is full again. All or nothing.
    /// </summary>
    /// <remarks>
    /// A copy's source stays held until <see cref="Commit"/> or <see cref="Release"/>, and the copy is asked for again by each call before: a plan
    /// whose run failed can be run again, in parts or anew.
    /// </remarks>
    /// <param name="table">The sequence's blocks; it covers at least <paramref name="start"/> positions.</param>
    /// <param name="start">First position to be written; not before the last registered block.</param>
    /// <param name="end">One past the last.</param>
    /// <param name="copies">Receives the block copies to make before writing.</param>
    bool TryReserve(BlockTable table, int start, int end, List<BlockCopy> copies);

    /// <summary>
    /// Positions 0 to <c>tokens.Length</c> are computed: registers the blocks that became full, so that others can share them. Where another
    /// sequence has registered the same, the table goes on with that block and gives up its own. No run that reads the table may be under way.
    /// </summary>
    void Commit(BlockTable table, ReadOnlySpan<int> tokens);

    /// <summary>
    /// Gives the empty table <paramref name="child"/> the blocks of the first <paramref name="tokenCount"/> positions of
    /// <paramref name="parent"/>, shared. The positions are committed.
    /// </summary>
    void Fork(BlockTable parent, BlockTable child, int tokenCount);

    /// <summary>Empties a table. Registered blocks that nobody references any more stay cached, a sequence's tail evicted before its head.</summary>
    void Release(BlockTable table);
}
