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
public sealed partial class PagedKVCacheManager : IKVCacheManager, IPagedKVCache, IDisposable
{
    private readonly KVCacheConfiguration _configuration;
    private readonly int _blockSize;
    private readonly bool _sharesPrefixes;
    private readonly TimeProvider _timeProvider;
    private readonly BlockPool _pool;
    private readonly PrefixIndex _index;
    private readonly PrefixRetention _retention;
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
    /// <exception cref="ArgumentOutOfRangeException">A member of a configuration is out of its range.</exception>
    public PagedKVCacheManager(KVCacheConfiguration configuration, PrefillConfiguration? prefill = null, TimeProvider? timeProvider = null)
        : this(configuration, prefill, timeProvider, FoldedPrefixHash.Compute)
    {
    }

    internal PagedKVCacheManager(KVCacheConfiguration configuration, PrefillConfiguration? prefill, TimeProvider? timeProvider, PrefixHash hash)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        configuration.Validate();
        prefill ??= PrefillConfiguration.Default;
        prefill.Validate();
        _configuration = configuration;
        _blockSize = configuration.BlockSize;
        _sharesPrefixes = prefill.EnablePrefillCaching;
        _timeProvider = timeProvider ?? TimeProvider.System;
        _pool = new BlockPool(configuration.TotalBlocks);
        _index = new PrefixIndex(configuration.TotalBlocks, configuration.BlockSize, hash);
        _retention = new PrefixRetention(_pool, _index, prefill.PrefillCacheMaxEntries, prefill.PrefillCacheTtlSeconds * _timeProvider.TimestampFrequency);
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
    public int CachedBlocks => _retention.Count;

    /// <summary>Blocks that at least one sequence references.</summary>
    public int ReferencedBlocks => _pool.ReferencedBlocks;

    /// <summary>Distinct prefixes kept that no sequence references; at most <see cref="PrefillConfiguration.PrefillCacheMaxEntries"/>.</summary>
    public int CachedPrefixes => _retention.Prefixes;

    /// <summary>Tokens for which a prefix was looked up since the start; a sequence that resumes after a preemption counts again.</summary>
    public long QueriedTokens => Volatile.Read(ref _queriedTokens);

    /// <summary>Of the <see cref="QueriedTokens"/>, those that were found and need not be computed.</summary>
    public long HitTokens => Volatile.Read(ref _hitTokens);

    /// <summary>Cached blocks dropped since the start: for room, as one prefix too many, or after their time to live.</summary>
    public long EvictedBlocks => _retention.Evicted;

    /// <summary>Blocks copied on write since the start.</summary>
    public long CopiedBlocks => Volatile.Read(ref _copiedBlocks);

    internal BlockPool Pool => _pool;

    internal PrefixIndex Index => _index;

    internal PrefixRetention Retention => _retention;

    internal IReadOnlyCollection<BlockTable> OpaqueTables => _opaqueTables.Values;

    private long BytesPerBlock => _blockSize * _configuration.BytesPerToken;

    private int AvailableBlocks => _pool.FreeBlocks + _retention.Count;

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
    public void DropExpiredPrefixes() => _retention.DropExpired(_timeProvider.GetTimestamp());

    /// <summary>Refuses further claims. What is held can still be released.</summary>
    public void Dispose() => _disposed = true;
}
