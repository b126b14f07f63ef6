using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

/// <summary>Each invariant is broken on purpose, through the cache's own parts, and must be the one that is named.</summary>
public class KVCacheInvariantsTests
{
    private static readonly PrefixNode Root = PrefixNode.RootOf("");

    private readonly List<BlockTable> _tables = [];
    private ulong _hash = 1;
    private PagedKVCacheManager _cache = null!;

    [SetUp]
    public void SetUp() => _cache = new PagedKVCacheManager(new KVCacheConfiguration(8, BlockSize: 2), null, null, (_, _) => _hash);

    [TearDown]
    public void TearDown() => _cache.Dispose();

    [Test]
    public void A_cache_in_use_violates_nothing()
    {
        Computed(1, 2, 3, 4, 5);
        Assert.That(Violation(), Is.Null);
        Assert.That(() => KVCacheInvariants.Check(_cache, _tables), Throws.Nothing);
    }

    [Test]
    public void Invariant_1_notices_a_reference_to_a_free_block()
    {
        _cache.Pool.AddReference(3);
        Expect(1);
    }

    [Test]
    public void Invariant_2_notices_a_block_that_is_free_twice()
    {
        int a = _cache.Pool.Claim(), b = _cache.Pool.Claim();
        _cache.Pool.DropReference(a);
        _cache.Pool.DropReference(b);
        _cache.Pool.Free(a);
        _cache.Pool.Free(a);
        Expect(2);
    }

    [Test]
    public void Invariant_3_notices_a_leaked_table()
    {
        Computed(1, 2, 3);
        _tables.Clear();
        Expect(3);
    }

    [Test]
    public void Invariant_4_notices_a_block_at_two_positions()
    {
        BlockTable table = Computed(1, 2, 3);
        table.Add(table[1]);
        _cache.Pool.AddReference(table[1]);
        Expect(4);
    }

    [Test]
    public void Invariant_5_notices_a_table_that_claims_unregistered_blocks()
    {
        Computed(1, 2, 3).RegisteredBlocks++;
        Expect(5);
    }

    [Test]
    public void Invariant_6_notices_a_registered_block_that_cannot_be_found()
    {
        Computed(1, 2);
        _hash = 2;
        Expect(6);
    }

    [Test]
    public void Invariant_7_notices_a_free_block_that_is_still_registered()
    {
        int block = _cache.Pool.Claim();
        _cache.Index.FindOrAdd(Root, [1, 2], block);
        _cache.Pool.DropReference(block);
        _cache.Pool.Free(block);
        Expect(7);
    }

    [Test]
    public void Invariant_7_notices_a_parent_that_may_be_evicted_before_its_child()
    {
        BlockTable table = Computed(1, 2, 3, 4);
        var stub = new BlockTable();
        stub.Add(table[1]);
        _cache.Pool.DropReference(table[0]);
        _cache.Retention.Add(table[0], 0);
        _tables[0] = stub;
        Expect(7);
    }

    [Test]
    public void Invariant_8_notices_a_child_that_its_parent_forgot()
    {
        var table = new BlockTable();
        int parent = _cache.Pool.Claim(), child = _cache.Pool.Claim();
        table.Add(parent);
        table.Add(child);
        _tables.Add(table);
        _cache.Index.FindOrAdd(Root with { Block = parent }, [3, 4], child);
        _cache.Index.FindOrAdd(Root, [1, 2], parent); // registered too late: starts without children
        Expect(8);
    }

    [Test]
    public void Invariant_9_notices_release_times_that_run_backwards()
    {
        Cached(now: 5, Root, 1, 2);
        Cached(now: 4, Root, 3, 4);
        Expect(9);
    }

    [Test]
    public void Invariant_9_notices_a_parent_that_was_released_before_its_child()
    {
        int parent = Cached(now: 1, Root, 1, 2);
        Cached(now: 1, Root with { Block = parent }, 3, 4);
        Expect(9);
    }

    [Test]
    public void Invariant_10_notices_a_miscounted_prefix()
    {
        int child = Cached(now: 1, Root, 3, 4);
        int parent = Cached(now: 1, Root, 1, 2);
        _cache.Index.Remove(child);
        _cache.Index.FindOrAdd(Root with { Block = parent }, [3, 4], child);
        Expect(10);
    }

    private BlockTable Computed(params int[] tokens)
    {
        IPagedKVCache cache = _cache;
        var table = new BlockTable();
        cache.Attach(table, tokens, "");
        cache.TryReserve(table, 0, tokens.Length, []);
        cache.Commit(table, tokens);
        _tables.Add(table);
        return table;
    }

    private int Cached(long now, PrefixNode parent, params int[] tokens)
    {
        int block = _cache.Pool.Claim();
        _cache.Index.FindOrAdd(parent, tokens, block);
        _cache.Pool.DropReference(block);
        _cache.Retention.Add(block, now);
        return block;
    }

    private string? Violation() => KVCacheInvariants.FirstViolation(_cache, _tables);

    private void Expect(int number)
    {
        Assert.That(Violation(), Does.StartWith($"KV cache invariant {number} ("));
        Assert.That(() => KVCacheInvariants.Check(_cache, _tables), Throws.InvalidOperationException);
    }
}
