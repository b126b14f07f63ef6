namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What holds of a KV cache between any two calls. Pure: tests, the simulator and debug builds share it.</summary>
/// <remarks>That an idle cache references nothing follows from invariants 2 and 3: without tables no block has a holder.</remarks>
internal static class KVCacheInvariants
{
    /// <summary>Checks all invariants.</summary>
    /// <param name="cache">The cache.</param>
    /// <param name="tables">All tables that hold blocks, except those that the cache keeps for <see cref="IKVCacheManager.AllocateCache"/>.</param>
    /// <exception cref="InvalidOperationException">One does not hold; the message names it.</exception>
    public static void Check(PagedKVCacheManager cache, IEnumerable<BlockTable> tables)
    {
        if (FirstViolation(cache, tables) is { } violation)
        {
            throw new InvalidOperationException(violation);
        }
    }

    /// <summary>The first invariant that does not hold, by number and name with what contradicts it; null when all hold.</summary>
    public static string? FirstViolation(PagedKVCacheManager cache, IEnumerable<BlockTable> tables)
    {
        List<BlockTable> all = [.. tables, .. cache.OpaqueTables];
        return Conservation(cache)
            ?? OnePlace(cache)
            ?? ReferencesAreHolders(cache, all)
            ?? HeldOnce(all)
            ?? RegisteredRun(cache, all)
            ?? Findable(cache)
            ?? ParentsOutliveChildren(cache)
            ?? ChildrenCounted(cache)
            ?? OldestFirst(cache)
            ?? PrefixesCounted(cache);
    }

    private static string? Conservation(PagedKVCacheManager cache) =>
        cache.FreeBlocks + cache.CachedBlocks + cache.ReferencedBlocks == cache.TotalBlocks
            ? null
            : Violated(1, "free + cached + referenced = total", $"{cache.FreeBlocks} + {cache.CachedBlocks} + {cache.ReferencedBlocks} ≠ {cache.TotalBlocks}");

    private static string? OnePlace(PagedKVCacheManager cache)
    {
        var places = new int[cache.TotalBlocks];
        int free = 0, cached = 0, referenced = 0;
        foreach (int block in cache.Pool.EnumerateFree().Take(cache.TotalBlocks + 1))
        {
            places[block]++;
            free++;
        }

        foreach ((int block, _) in cache.Retention.Enumerate().Take(cache.TotalBlocks + 1))
        {
            places[block]++;
            cached++;
        }

        for (int block = 0; block < places.Length; block++)
        {
            int holders = cache.Pool.References(block) > 0 ? 1 : 0;
            referenced += holders;
            if (places[block] + holders != 1)
            {
                return Violated(2, "a block is free, cached or referenced", $"block {block} is in {places[block] + holders} of these places");
            }
        }

        return (free, cached, referenced) == (cache.FreeBlocks, cache.CachedBlocks, cache.ReferencedBlocks)
            ? null
            : Violated(2, "a block is free, cached or referenced", "the counters differ from what is there");
    }

    private static string? ReferencesAreHolders(PagedKVCacheManager cache, List<BlockTable> tables)
    {
        var holders = new int[cache.TotalBlocks];
        foreach (BlockTable table in tables)
        {
            foreach (int block in table.Ids)
            {
                holders[block]++;
            }

            if (table.PendingCopy is { } copy)
            {
                holders[copy.Source]++;
            }
        }

        for (int block = 0; block < holders.Length; block++)
        {
            if (holders[block] != cache.Pool.References(block))
            {
                return Violated(
                    3, "a block's reference count = the tables that hold it", $"block {block} counts {cache.Pool.References(block)}, {holders[block]} hold it");
            }
        }

        return null;
    }

    private static string? HeldOnce(List<BlockTable> tables)
    {
        foreach (BlockTable table in tables)
        {
            var seen = new HashSet<int>();
            foreach (int block in table.Ids)
            {
                if (!seen.Add(block))
                {
                    return Violated(4, "a table holds a block once", $"block {block} stands at two positions");
                }
            }
        }

        return null;
    }

    private static string? RegisteredRun(PagedKVCacheManager cache, List<BlockTable> tables)
    {
        const string Name = "a table's registered blocks are one path from its root";
        foreach (BlockTable table in tables)
        {
            if (table.RegisteredBlocks > table.Count || (table.RegisteredBlocks > 0 && table.PrefixRoot is null))
            {
                return Violated(5, Name, $"{table.RegisteredBlocks} of {table.Count} blocks are said to be registered, root {table.PrefixRoot}");
            }

            int parent = PrefixNode.NoBlock;
            foreach (int block in table.Ids[..table.RegisteredBlocks])
            {
                if (!cache.Index.IsRegistered(block) || cache.Index.Parent(block) != new PrefixNode(table.PrefixRoot!.Value, parent))
                {
                    return Violated(5, Name, $"block {block} does not hang under {parent}");
                }

                parent = block;
            }
        }

        return null;
    }

    private static string? Findable(PagedKVCacheManager cache)
    {
        for (int block = 0; block < cache.TotalBlocks; block++)
        {
            if (cache.Index.IsRegistered(block))
            {
                int found = cache.Index.Find(cache.Index.Parent(block), cache.Index.Tokens(block));
                if (found != block)
                {
                    return Violated(6, "a registered block is found under its own key", $"block {found} is found for block {block}");
                }
            }
        }

        return null;
    }

    private static string? ParentsOutliveChildren(PagedKVCacheManager cache)
    {
        const string Name = "a block stays as long as something hangs under it";
        for (int block = 0; block < cache.TotalBlocks; block++)
        {
            bool registered = cache.Index.IsRegistered(block);
            bool referenced = cache.Pool.References(block) > 0;
            if (!referenced && registered != cache.Retention.Contains(block))
            {
                return Violated(7, Name, registered ? $"block {block} is registered but free" : $"block {block} is cached but not registered");
            }

            int parent = registered ? cache.Index.Parent(block).Block : PrefixNode.NoBlock;
            if (parent != PrefixNode.NoBlock && (!cache.Index.IsRegistered(parent) || (referenced && cache.Pool.References(parent) == 0)))
            {
                return Violated(7, Name, $"block {block} hangs under block {parent}, which may be evicted before it");
            }
        }

        return null;
    }

    private static string? ChildrenCounted(PagedKVCacheManager cache)
    {
        var children = new int[cache.TotalBlocks];
        for (int block = 0; block < cache.TotalBlocks; block++)
        {
            if (cache.Index.IsRegistered(block) && cache.Index.Parent(block).Block is not PrefixNode.NoBlock and int parent)
            {
                children[parent]++;
            }
        }

        for (int block = 0; block < cache.TotalBlocks; block++)
        {
            if (children[block] != cache.Index.Children(block))
            {
                return Violated(8, "a block knows what hangs under it", $"block {block} counts {cache.Index.Children(block)} children, it has {children[block]}");
            }
        }

        return null;
    }

    private static string? OldestFirst(PagedKVCacheManager cache)
    {
        const string Name = "eviction takes the least recently used first, a child before its parent";
        var seen = new HashSet<int>();
        long last = long.MinValue;
        foreach ((int block, long releasedAt) in cache.Retention.Enumerate())
        {
            if (releasedAt < last)
            {
                return Violated(9, Name, $"block {block} was released before an older one");
            }

            if (seen.Contains(cache.Index.Parent(block).Block))
            {
                return Violated(9, Name, $"block {block} comes after block {cache.Index.Parent(block).Block}, its parent");
            }

            seen.Add(block);
            last = releasedAt;
        }

        return null;
    }

    private static string? PrefixesCounted(PagedKVCacheManager cache)
    {
        int leaves = cache.Retention.Enumerate().Count(node => cache.Index.Children(node.Block) == 0);
        return leaves == cache.CachedPrefixes && leaves <= cache.Retention.MaxPrefixes
            ? null
            : Violated(10, "cached prefixes = cached leaves ≤ maximum", $"{cache.CachedPrefixes} counted, {leaves} there, {cache.Retention.MaxPrefixes} allowed");
    }

    private static string Violated(int number, string name, string what) => $"KV cache invariant {number} ({name}) is violated: {what}.";
}
