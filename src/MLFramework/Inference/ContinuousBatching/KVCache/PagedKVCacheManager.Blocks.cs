namespace MLFramework.Inference.ContinuousBatching;

/// <content>What the scheduler sees: block tables.</content>
public sealed partial class PagedKVCacheManager
{
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
        int hits = ReusablePositions(table.Count, tokens.Length);
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

        return ReusablePositions(blocks, tokens.Length);
    }

    int IPagedKVCache.CountMissing(BlockTable table, int start, int end)
    {
        RequireRange(table, start, end);
        return CountMissing(table, start / _blockSize, BlocksFor(end));
    }

    bool IPagedKVCache.TryReserve(BlockTable table, int start, int end, List<BlockCopy> copies)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        int first = (int)((uint)start / (uint)_blockSize);
        if (end - start == 1 && first < table.Count && IsExclusive(table[first]) && table.PendingCopy is null)
        {
            return true; // a decode within its own block: the steady state
        }

        RequireRange(table, start, end);
        int needed = BlocksFor(end);
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

    private int BlocksFor(int tokens) => (int)(((long)tokens + _blockSize - 1) / _blockSize);

    // Steps to the registered block that holds the next tokens, unless all that it could save is the last position.
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
    private int ReusablePositions(int blocks, int tokens) => Math.Max(0, Math.Min(blocks * _blockSize, tokens - 1));

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
            _retention.DropOldest();
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
        _retention.DropExpired(now);
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
        if (_retention.Contains(block))
        {
            _retention.Remove(block);
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
            _retention.Add(block, now);
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
