namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// A paged KV cache: a pool of fixed blocks that sequences claim on demand, share when they begin with the same tokens, and copy before they
/// write into what others use. Blocks that nobody references keep their prefix until room is needed, least recently used first.
/// </summary>
/// <remarks>
/// <para>
/// It decides which block holds what; the keys and values themselves lie with the executor. Paging follows "Efficient Memory Management for Large
/// Language Model Serving with PagedAttention" (SOSP 2023); reuse follows SGLang's prefix tree (RadixAttention), in units of blocks. Unlike a
/// table of hashes it compares the tokens themselves: two prompts never share a block by accident, nor two tenants.
/// </para>
/// <para>
/// Methods belong to the scheduler's owner thread. The counters may be read from any thread; each is exact by itself, but while the owner works
/// two of them may belong to different moments.
/// </para>
/// </remarks>
public sealed class PagedKVCacheManager : IKVCacheManager, IPagedKVCache, IDisposable
{
    private readonly KVCacheConfiguration _configuration;
    private readonly int _blockSize;
    private readonly bool _sharesPrefixes;
    private readonly TimeProvider _timeProvider;
    private readonly BlockPool _pool;
    private readonly PrefixIndex _index;
    private readonly CachedBlocks _cached;
    private readonly Dictionary<RequestId, BlockTable> _opaqueTables = [];
    private long _copiedBlocks;
    private long _queriedTokens;
    private long _hitTokens;
    private bool _disposed;

    /// <summary>Makes an empty cache.</summary>
    /// <param name="configuration">Size and shape of the pool.</param>
    /// <param name="prefill">Whether prefixes are shared, how many are kept and how long; null for <see cref="PrefillConfiguration.Default"/>.</param>
    /// <param name="timeProvider">The clock of <see cref="PrefillConfiguration.PrefillCacheTtlSeconds"/>; null for the system's.</param>
    /// <exception cref="ArgumentNullException"><paramref name="configuration"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A member of a configuration is out of its range, or the pool has more positions than an array.</exception>
    public PagedKVCacheManager(KVCacheConfiguration configuration, PrefillConfiguration? prefill = null, TimeProvider? timeProvider = null)
        : this(configuration, prefill, timeProvider, FoldedPrefixHash.Compute)
    {
    }

    internal PagedKVCacheManager(KVCacheConfiguration configuration, PrefillConfiguration? prefill, TimeProvider? timeProvider, PrefixHash hash)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        configuration.Validate();
        if ((long)configuration.TotalBlocks * configuration.BlockSize > Array.MaxLength)
        {
            throw new ArgumentOutOfRangeException(
                nameof(configuration),
                configuration,
                $"The pool has more than {Array.MaxLength} positions: lower TotalBlocks, or check BytesPerToken if it was computed from a memory budget.");
        }

        prefill ??= PrefillConfiguration.Default;
        prefill.Validate();
        _configuration = configuration;
        _blockSize = configuration.BlockSize;
        _sharesPrefixes = prefill.EnablePrefillCaching;
        _timeProvider = timeProvider ?? TimeProvider.System;
        _pool = new BlockPool(configuration.TotalBlocks);
        _index = new PrefixIndex(configuration.TotalBlocks, configuration.BlockSize, hash);
        _cached = new CachedBlocks(_pool, _index, prefill.PrefillCacheMaxEntries, prefill.PrefillCacheTtlSeconds * _timeProvider.TimestampFrequency);
    }

    /// <inheritdoc cref="KVCacheConfiguration.BlockSize"/>
    public int BlockSize => _blockSize;

    /// <inheritdoc cref="KVCacheConfiguration.BytesPerToken"/>
    public long BytesPerToken => _configuration.BytesPerToken;

    /// <summary>Blocks in the pool: free, cached and referenced ones.</summary>
    public int TotalBlocks => _pool.TotalBlocks;

    /// <summary>Blocks that hold nothing.</summary>
    public int FreeBlocks => _pool.FreeBlocks;

    /// <summary>Blocks that hold a registered prefix and that no sequence references: reusable, and evicted when blocks run out.</summary>
    public int CachedBlocks => _cached.Count;

    /// <summary>Blocks that at least one sequence references.</summary>
    public int ReferencedBlocks => _pool.ReferencedBlocks;

    /// <summary>Distinct prefixes kept that no sequence references; at most <see cref="PrefillConfiguration.PrefillCacheMaxEntries"/>.</summary>
    public int CachedPrefixes => _cached.Prefixes;

    /// <summary>Tokens for which a prefix was looked up since the start; a sequence that resumes after a preemption counts again.</summary>
    public long QueriedTokens => Volatile.Read(ref _queriedTokens);

    /// <summary>Of the <see cref="QueriedTokens"/>, those that were found and need not be computed.</summary>
    public long HitTokens => Volatile.Read(ref _hitTokens);

    /// <summary>Cached blocks dropped since the start: for room, as one prefix too many, or after their time to live.</summary>
    public long EvictedBlocks => _cached.Evicted;

    /// <summary>Blocks copied on write since the start.</summary>
    public long CopiedBlocks => Volatile.Read(ref _copiedBlocks);

    internal BlockPool Pool => _pool;

    internal PrefixIndex Index => _index;

    internal CachedBlocks Cached => _cached;

    internal IReadOnlyCollection<BlockTable> OpaqueTables => _opaqueTables.Values;

    private int AvailableBlocks => _pool.FreeBlocks + _cached.Count;

    /// <summary>Makes room for a request's first <paramref name="maxTokens"/> tokens, in blocks of its own. For callers that do not schedule blocks themselves.</summary>
    /// <param name="requestId">The request; not <see cref="RequestId.Empty"/>.</param>
    /// <param name="maxTokens">Tokens, prompt and generated together, at least 1. A request that already has room for more keeps it.</param>
    /// <returns>Bytes that the request now holds.</returns>
    /// <exception cref="ArgumentException"><paramref name="requestId"/> is empty.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is less than 1.</exception>
    /// <exception cref="KVCacheExhaustedException">There is no room now; the request keeps what it had.</exception>
    /// <exception cref="ObjectDisposedException">The cache is disposed.</exception>
    public long AllocateCache(RequestId requestId, int maxTokens)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        if (requestId == RequestId.Empty)
        {
            throw new ArgumentException("The empty id stands for no request: make one with RequestId.New().", nameof(requestId));
        }

        int blocks = BlocksFor(maxTokens);
        bool isNew = !_opaqueTables.TryGetValue(requestId, out BlockTable? table);
        table ??= new BlockTable();
        int missing = Math.Max(0, blocks - table.Count);
        if (missing > AvailableBlocks)
        {
            throw new KVCacheExhaustedException(missing, AvailableBlocks, TotalBlocks);
        }

        if (isNew)
        {
            _opaqueTables.Add(requestId, table);
        }

        ClaimUpTo(table, blocks);
        return table.Count * BytesPerBlock;
    }

    /// <inheritdoc/>
    public void ReleaseCache(RequestId requestId)
    {
        if (_opaqueTables.Remove(requestId, out BlockTable? table))
        {
            Release(table);
        }
    }

    /// <summary>Bytes of the blocks that sequences reference; a shared block counts once, a cached one not at all.</summary>
    public long GetCurrentUsageBytes() => ReferencedBlocks * BytesPerBlock;

    /// <summary>
    /// Drops the prefixes that were not used for <see cref="PrefillConfiguration.PrefillCacheTtlSeconds"/>. Looking up and releasing do it too:
    /// call it where neither happens for long.
    /// </summary>
    public void DropExpiredPrefixes() => _cached.DropExpired(_timeProvider.GetTimestamp());

    /// <summary>Refuses further claims. What is held can still be released.</summary>
    public void Dispose() => _disposed = true;

    int IPagedKVCache.Attach(BlockTable table, ReadOnlySpan<int> tokens, string salt)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        RequireEmpty(table);
        if (!_sharesPrefixes)
        {
            return 0;
        }

        DropExpiredPrefixes();
        PrefixNode node = PrefixNode.RootOf(salt);
        table.PrefixRoot = node.Root;
        table.EnsureCapacity(BlocksFor(tokens.Length));
        while (FindNext(ref node, table.Count, tokens))
        {
            Reference(node.Block);
            table.Add(node.Block);
        }

        table.RegisteredBlocks = table.Count;
        int hits = NeededFrom(table.Count, tokens);
        Volatile.Write(ref _queriedTokens, _queriedTokens + tokens.Length);
        Volatile.Write(ref _hitTokens, _hitTokens + hits);
        return hits;
    }

    int IPagedKVCache.CountCached(ReadOnlySpan<int> tokens, string salt)
    {
        if (!_sharesPrefixes)
        {
            return 0;
        }

        DropExpiredPrefixes();
        PrefixNode node = PrefixNode.RootOf(salt);
        int blocks = 0;
        while (FindNext(ref node, blocks, tokens))
        {
            blocks++;
        }

        return NeededFrom(blocks, tokens);
    }

    int IPagedKVCache.CountMissing(BlockTable table, int start, int end)
    {
        RequireRange(table, start, end);
        return CountMissing(table, start / _blockSize, BlocksFor(end));
    }

    bool IPagedKVCache.TryReserve(BlockTable table, int start, int end, List<BlockCopy> copies)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        RequireRange(table, start, end);
        int first = start / _blockSize;
        int needed = end - 1 < (first + 1) * _blockSize ? first + 1 : BlocksFor(end);
        if (CountMissing(table, first, needed) > AvailableBlocks)
        {
            return false;
        }

        for (int i = Math.Min(needed, table.Count) - 1; i >= first; i--)
        {
            if (!IsExclusive(table[i]))
            {
                bool keepsPositions = i == first && start % _blockSize != 0;
                MakeExclusive(table, i, keepsPositions);
            }
        }

        ClaimUpTo(table, needed);
        if (table.PendingCopy is { } pending)
        {
            copies.Add(pending); // also one that a run before should have made: that run was never committed
        }

        return true;
    }

    void IPagedKVCache.Commit(BlockTable table, ReadOnlySpan<int> tokens)
    {
        if (tokens.Length > (long)table.Count * _blockSize)
        {
            throw new ArgumentException($"{tokens.Length} positions are committed, but only {table.Count} blocks of {_blockSize} were reserved.", nameof(tokens));
        }

        if (table.PrefixRoot is { } root)
        {
            while (tokens.Length - (table.RegisteredBlocks * _blockSize) >= _blockSize)
            {
                RegisterNext(table, root, tokens);
            }
        }

        DropPendingCopy(table);
    }

    void IPagedKVCache.Fork(BlockTable parent, BlockTable child, int tokenCount)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        RequireEmpty(child);
        ArgumentOutOfRangeException.ThrowIfNegative(tokenCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokenCount, (long)parent.Count * _blockSize);
        if (parent.PendingCopy is not null)
        {
            throw new InvalidOperationException("The parent waits for a block copy: fork after the run that makes it is committed.");
        }

        int blocks = BlocksFor(tokenCount);
        child.EnsureCapacity(blocks);
        foreach (int block in parent.Ids[..blocks])
        {
            Reference(block);
            child.Add(block);
        }

        child.RegisteredBlocks = Math.Min(parent.RegisteredBlocks, blocks);
        child.PrefixRoot = parent.PrefixRoot;
    }

    void IPagedKVCache.Release(BlockTable table) => Release(table);

    private long BytesPerBlock => _blockSize * _configuration.BytesPerToken;

    private int BlocksFor(int tokens) => (int)(((long)tokens + _blockSize - 1) / _blockSize);

    /// <summary>Steps to the registered block number <paramref name="index"/> of <paramref name="tokens"/>, unless nothing of it would be of use.</summary>
    private bool FindNext(ref PrefixNode node, int index, ReadOnlySpan<int> tokens)
    {
        int start = index * _blockSize;
        if (tokens.Length - start < _blockSize || start >= tokens.Length - 1)
        {
            return false;
        }

        int block = _index.Find(node, tokens.Slice(start, _blockSize));
        node = node with { Block = block };
        return block != PrefixNode.NoBlock;
    }

    // The last position is computed whether or not it is cached: its logits are needed.
    private int NeededFrom(int blocks, ReadOnlySpan<int> tokens) => Math.Max(0, Math.Min(blocks * _blockSize, tokens.Length - 1));

    private int CountMissing(BlockTable table, int first, int needed)
    {
        int missing = Math.Max(0, needed - table.Count);
        for (int i = first; i < Math.Min(needed, table.Count); i++)
        {
            if (!IsExclusive(table[i]) && !CanTakeBack(table[i]))
            {
                missing++;
            }
        }

        return missing;
    }

    private bool IsExclusive(int block) => _pool.References(block) == 1 && !_index.IsRegistered(block);

    // A registered block that only one table holds and nothing hangs under need not be copied to be written: it leaves the index until it is
    // full again. Without this a prompt that fills the pool to the last block could run once and, being cached, never again.
    private bool CanTakeBack(int block) => _pool.References(block) == 1 && _index.Children(block) == 0;

    private void MakeExclusive(BlockTable table, int index, bool keepsPositions)
    {
        int block = table[index];
        table.RegisteredBlocks = Math.Min(table.RegisteredBlocks, index);
        if (CanTakeBack(block))
        {
            _index.Remove(block);
            return;
        }

        table[index] = Claim();
        if (keepsPositions)
        {
            DropPendingCopy(table);
            table.PendingCopy = new BlockCopy(block, table[index]);
            Volatile.Write(ref _copiedBlocks, _copiedBlocks + 1);
        }
        else
        {
            Dereference(block, _timeProvider.GetTimestamp());
        }
    }

    private void ClaimUpTo(BlockTable table, int blocks)
    {
        while (table.Count < blocks)
        {
            table.Add(Claim());
        }
    }

    private int Claim()
    {
        if (_pool.FreeBlocks == 0)
        {
            _cached.DropOldest();
        }

        return _pool.Claim();
    }

    private void RegisterNext(BlockTable table, UInt128 root, ReadOnlySpan<int> tokens)
    {
        int index = table.RegisteredBlocks;
        int block = table[index];
        var parent = new PrefixNode(root, index == 0 ? PrefixNode.NoBlock : table[index - 1]);
        int registered = _index.FindOrAdd(parent, tokens.Slice(index * _blockSize, _blockSize), block);
        if (registered != block)
        {
            // Another sequence has computed the same: equal tokens at equal positions give equal keys and values, so both go on with one block.
            Reference(registered);
            table[index] = registered;
            Dereference(block, _timeProvider.GetTimestamp());
        }

        table.RegisteredBlocks++;
    }

    private void Release(BlockTable table)
    {
        DropPendingCopy(table);
        long now = _timeProvider.GetTimestamp();
        for (int i = table.Count - 1; i >= 0; i--)
        {
            Dereference(table[i], now);
        }

        table.Clear();
        _cached.DropExpired(now);
    }

    private void DropPendingCopy(BlockTable table)
    {
        if (table.PendingCopy is { } copy)
        {
            table.PendingCopy = null;
            Dereference(copy.Source, _timeProvider.GetTimestamp());
        }
    }

    private void Reference(int block)
    {
        if (_cached.Contains(block))
        {
            _cached.Remove(block);
        }

        _pool.AddReference(block);
    }

    private void Dereference(int block, long now)
    {
        if (!_pool.DropReference(block))
        {
            return;
        }

        if (_index.IsRegistered(block))
        {
            _cached.Add(block, now);
        }
        else
        {
            _pool.Free(block);
        }
    }

    private static void RequireEmpty(BlockTable table)
    {
        if (table.Count > 0)
        {
            throw new InvalidOperationException($"The table still holds {table.Count} blocks: release it first.");
        }
    }

    private void RequireRange(BlockTable table, int start, int end)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(start, end);
        ArgumentOutOfRangeException.ThrowIfLessThan(start, Math.Max(0, (table.RegisteredBlocks - 1) * _blockSize));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, (long)table.Count * _blockSize);
    }
}
