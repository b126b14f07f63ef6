using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

public class PagedKVCacheManagerTests
{
    private const int BlockSize = 4;
    private const int TotalBlocks = 16;

    private readonly VirtualTimeProvider _clock = new();
    private readonly List<BlockTable> _tables = [];
    private readonly List<BlockCopy> _copies = [];
    private PagedKVCacheManager _manager = null!;
    private IPagedKVCache _cache = null!;

    [SetUp]
    public void SetUp() => Use(new PrefillConfiguration());

    [TearDown]
    public void TearDown()
    {
        KVCacheInvariants.Check(_manager, _tables);
        _manager.Dispose();
    }

    [Test]
    public void A_new_cache_is_free_all_over()
    {
        Assert.That(Counts(), Is.EqualTo((TotalBlocks, 0, 0)));
        Assert.That(_manager.GetCurrentUsageBytes(), Is.Zero);
    }

    [Test]
    public void Blocks_are_claimed_as_positions_need_them()
    {
        BlockTable table = Attached(Tokens(9));
        Assert.That(_cache.TryReserve(table, 0, 1, _copies), Is.True);
        Assert.That(table.Count, Is.EqualTo(1));
        Assert.That(_cache.TryReserve(table, 1, 4, _copies), Is.True);
        Assert.That(table.Count, Is.EqualTo(1));
        Assert.That(_cache.TryReserve(table, 4, 9, _copies), Is.True);
        Assert.That(table.Count, Is.EqualTo(3));
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 3, 0, 3)));
        Assert.That(_copies, Is.Empty);
    }

    [Test]
    public void Computed_full_blocks_are_shared_with_a_sequence_that_begins_alike()
    {
        BlockTable first = Computed(Tokens(10));
        BlockTable second = Attached(Tokens(10), expected: 8);
        Assert.That(second.Ids.ToArray(), Is.EqualTo(first.Ids[..2].ToArray()));
        Assert.That(_manager.ReferencedBlocks, Is.EqualTo(3));
    }

    [Test]
    public void Blocks_that_are_not_committed_are_not_shared()
    {
        BlockTable table = Attached(Tokens(8));
        _cache.TryReserve(table, 0, 8, _copies);
        Attached(Tokens(8), expected: 0);
        _cache.Commit(table, Tokens(7));
        Attached(Tokens(8), expected: 4);
    }

    [Test]
    public void A_prefix_matches_up_to_the_first_block_that_differs()
    {
        Computed(Tokens(16));
        int[] other = Tokens(16);
        other[9]++;
        Attached(other, expected: 8);
    }

    [Test]
    public void The_same_block_after_another_beginning_is_another_prefix()
    {
        Computed([1, 1, 1, 1, 2, 2, 2, 2]);
        Attached([3, 3, 3, 3, 2, 2, 2, 2, 5], expected: 0);
        Attached([2, 2, 2, 2, 5], expected: 0);
    }

    [Test]
    public void The_last_position_is_always_left_to_compute()
    {
        Computed(Tokens(8));
        Assert.That(_cache.CountCached(Tokens(8), ""), Is.EqualTo(7));
        Assert.That(_cache.CountCached(Tokens(9), ""), Is.EqualTo(8));
        Attached(Tokens(8), expected: 7);
    }

    [Test]
    public void Counting_cached_positions_takes_none()
    {
        Release(Computed(Tokens(8)));
        Assert.That(_cache.CountCached(Tokens(9), ""), Is.EqualTo(8));
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 2, 2, 0)));
    }

    [Test]
    public void Other_salts_share_nothing()
    {
        Computed(Tokens(8), "alice");
        Attached(Tokens(9), "bob", expected: 0);
        Attached(Tokens(9), "", expected: 0);
        Attached(Tokens(9), "alice", expected: 8);
    }

    [Test]
    public void Salts_that_no_text_encoding_tells_apart_share_nothing()
    {
        Computed(Tokens(8), "\uD800");
        Attached(Tokens(9), "\uD801", expected: 0);
    }

    [Test]
    public void A_release_frees_partial_blocks_and_keeps_registered_ones()
    {
        Release(Computed(Tokens(10)));
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 2, 2, 0)));
        Attached(Tokens(10), expected: 8);
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 2, 0, 2)));
    }

    [Test]
    public void Releasing_twice_changes_nothing()
    {
        BlockTable table = Computed(Tokens(10));
        _cache.Release(table);
        _cache.Release(table);
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 2, 2, 0)));
    }

    [Test]
    public void When_blocks_run_out_the_least_recently_used_prefix_goes_first()
    {
        Release(Computed(Tokens(16, from: 100)));
        Release(Computed(Tokens(16, from: 200)));
        Release(Attached(Tokens(16, from: 100))); // used again
        Reserve(TotalBlocks - 4);
        Assert.That(_cache.CountCached(Tokens(17, from: 200), ""), Is.Zero);
        Assert.That(_cache.CountCached(Tokens(17, from: 100), ""), Is.EqualTo(16));
        Assert.That(_manager.EvictedBlocks, Is.EqualTo(4));
    }

    [Test]
    public void The_tail_of_a_sequence_is_evicted_before_its_head()
    {
        Release(Computed(Tokens(16)));
        for (int kept = 12; kept >= 0; kept -= BlockSize)
        {
            Reserve(_manager.FreeBlocks + 1);
            Assert.That(_cache.CountCached(Tokens(17), ""), Is.EqualTo(kept));
        }
    }

    [Test]
    public void What_a_sequence_references_is_never_evicted()
    {
        BlockTable table = Computed(Tokens(16));
        int[] blocks = table.Ids.ToArray();
        Reserve(TotalBlocks - 4);
        Assert.That(_cache.TryReserve(new BlockTable(), 0, 1, _copies), Is.False);
        Assert.That(table.Ids.ToArray(), Is.EqualTo(blocks));
    }

    [Test]
    public void A_reservation_that_does_not_fit_changes_nothing()
    {
        BlockTable table = Computed(Tokens(8));
        Release(Computed(Tokens(8, from: 50)));
        var before = Counts();
        Assert.That(_cache.CountMissing(table, 8, (TotalBlocks * BlockSize) + 1), Is.EqualTo(TotalBlocks - 1));
        Assert.That(_cache.TryReserve(table, 8, (TotalBlocks * BlockSize) + 1, _copies), Is.False);
        Assert.That(Counts(), Is.EqualTo(before));
        Assert.That(table.Count, Is.EqualTo(2));
        Assert.That(_copies, Is.Empty);
    }

    [Test]
    public void A_shared_block_is_copied_before_it_is_written()
    {
        BlockTable first = Computed(Tokens(8));
        BlockTable second = Attached(Tokens(8), expected: 7);
        Assert.That(_cache.CountMissing(second, 7, 8), Is.EqualTo(1));
        Assert.That(_cache.TryReserve(second, 7, 8, _copies), Is.True);
        Assert.That(_copies, Is.EqualTo(new[] { new BlockCopy(first[1], second[1]) }));
        Assert.That(second[0], Is.EqualTo(first[0]));
        Assert.That(second[1], Is.Not.EqualTo(first[1]));
        Assert.That(_manager.CopiedBlocks, Is.EqualTo(1));
    }

    [Test]
    public void A_block_that_longer_prefixes_build_upon_is_copied_before_it_is_written()
    {
        Release(Computed(Tokens(12)));
        BlockTable table = Attached(Tokens(8), expected: 7);
        int registered = table[1];
        Assert.That(_cache.TryReserve(table, 7, 8, _copies), Is.True);
        Assert.That(_copies, Is.EqualTo(new[] { new BlockCopy(registered, table[1]) }));
        Assert.That(_cache.CountCached(Tokens(13), ""), Is.EqualTo(12));
    }

    [Test]
    public void A_cached_block_that_nobody_else_uses_is_written_in_place_and_registered_again()
    {
        Release(Computed(Tokens(8)));
        BlockTable table = Attached(Tokens(8), expected: 7);
        Assert.That(_cache.CountMissing(table, 7, 8), Is.Zero);
        Assert.That(_cache.TryReserve(table, 7, 8, _copies), Is.True);
        Assert.That(_copies, Is.Empty);
        Assert.That(_cache.CountCached(Tokens(9), ""), Is.EqualTo(4), "nobody may share what is being written");
        _cache.Commit(table, Tokens(8));
        Assert.That(_cache.CountCached(Tokens(9), ""), Is.EqualTo(8));
    }

    [Test]
    public void A_prompt_that_fills_the_pool_can_run_again_when_it_is_cached()
    {
        int[] tokens = Tokens(TotalBlocks * BlockSize);
        Release(Computed(tokens));
        Release(Computed(tokens));
        Assert.That(_manager.CachedBlocks, Is.EqualTo(TotalBlocks));
    }

    [Test]
    public void The_source_of_a_copy_is_held_until_the_run_that_makes_it_is_committed()
    {
        BlockTable first = Computed(Tokens(8));
        BlockTable second = Attached(Tokens(8));
        _cache.TryReserve(second, 7, 8, _copies);
        int source = _copies[0].Source;
        Release(first);
        BlockTable all = Reserve(_manager.FreeBlocks);
        Assert.That(_cache.TryReserve(all, all.Count * BlockSize, (all.Count * BlockSize) + 1, _copies), Is.False, "the source must not be evicted");
        Assert.That(_manager.Pool.References(source), Is.EqualTo(1));
        _cache.Commit(second, Tokens(8));
        Assert.That(_manager.FreeBlocks, Is.EqualTo(1), "the copy became equal to its source and was given up for it");
    }

    [Test]
    public void A_copy_is_asked_for_again_when_the_run_that_should_have_made_it_failed()
    {
        Computed(Tokens(8));
        BlockTable table = Attached(Tokens(8));
        _cache.TryReserve(table, 7, 8, _copies);
        _cache.TryReserve(table, 7, 8, _copies);
        Assert.That(_copies, Has.Count.EqualTo(2));
        Assert.That(_copies[1], Is.EqualTo(_copies[0]));
        _cache.Commit(table, Tokens(8));
        _cache.TryReserve(table, 8, 9, _copies);
        Assert.That(_copies, Has.Count.EqualTo(2));
    }

    [Test]
    public void Two_sequences_that_compute_the_same_end_up_with_one_block()
    {
        BlockTable first = Attached(Tokens(9));
        BlockTable second = Attached(Tokens(9));
        _cache.TryReserve(first, 0, 9, _copies);
        _cache.TryReserve(second, 0, 9, _copies);
        Assert.That(_manager.ReferencedBlocks, Is.EqualTo(6));
        _cache.Commit(first, Tokens(9));
        _cache.Commit(second, Tokens(9));
        Assert.That(second.Ids[..2].ToArray(), Is.EqualTo(first.Ids[..2].ToArray()));
        Assert.That(second[2], Is.Not.EqualTo(first[2]));
        Assert.That(_manager.ReferencedBlocks, Is.EqualTo(4));
    }

    [Test]
    public void A_decode_registers_each_block_that_it_fills()
    {
        BlockTable table = Computed(Tokens(3));
        for (int position = 3; position < 12; position++)
        {
            _cache.TryReserve(table, position, position + 1, _copies);
            _cache.Commit(table, Tokens(position + 1));
            Assert.That(table.RegisteredBlocks, Is.EqualTo((position + 1) / BlockSize));
        }

        Attached(Tokens(13), expected: 12);
    }

    [Test]
    public void A_fork_shares_all_blocks_and_copies_the_partial_one_when_it_writes()
    {
        BlockTable parent = Computed(Tokens(6));
        BlockTable child = Forked(parent, 6);
        Assert.That(child.Ids.ToArray(), Is.EqualTo(parent.Ids.ToArray()));
        Assert.That(child.RegisteredBlocks, Is.EqualTo(1), "what is registered need not be looked up again");
        Assert.That(_manager.ReferencedBlocks, Is.EqualTo(2));

        _cache.TryReserve(child, 6, 7, _copies);
        Assert.That(_copies, Is.EqualTo(new[] { new BlockCopy(parent[1], child[1]) }));
        _cache.Commit(child, [.. Tokens(6), 77]);

        _copies.Clear();
        _cache.TryReserve(parent, 6, 7, _copies);
        Assert.That(_copies, Is.Empty, "the last holder writes in place");
        Assert.That(child[0], Is.EqualTo(parent[0]));
    }

    [Test]
    public void A_fork_in_the_middle_of_a_registered_block_copies_it_when_it_writes()
    {
        BlockTable parent = Computed(Tokens(12));
        BlockTable child = Forked(parent, 6);
        _cache.TryReserve(child, 6, 7, _copies);
        Assert.That(_copies, Is.EqualTo(new[] { new BlockCopy(parent[1], child[1]) }));
        _cache.Commit(child, [.. Tokens(6), 77]);
        Assert.That(child.RegisteredBlocks, Is.EqualTo(1));
    }

    [Test]
    public void A_fork_waits_for_the_copies_of_its_parent()
    {
        BlockTable parent = Computed(Tokens(6));
        BlockTable child = Forked(parent, 6);
        _cache.TryReserve(child, 6, 7, _copies);
        Assert.That(() => _cache.Fork(child, new BlockTable(), 6), Throws.InvalidOperationException.With.Message.Contains("committed"));
    }

    [Test]
    public void A_fork_outlives_its_parent()
    {
        BlockTable parent = Computed(Tokens(6));
        BlockTable child = Forked(parent, 6);
        Release(parent);
        Assert.That(_manager.ReferencedBlocks, Is.EqualTo(2));
        Release(child);
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 1, 1, 0)));
    }

    [Test]
    public void Without_prefill_caching_nothing_is_kept_or_found()
    {
        Use(new PrefillConfiguration { EnablePrefillCaching = false });
        BlockTable table = Computed(Tokens(8));
        Attached(Tokens(9), expected: 0);
        Assert.That(_cache.CountCached(Tokens(9), ""), Is.Zero);
        Release(table);
        Assert.That(Counts(), Is.EqualTo((TotalBlocks, 0, 0)));
    }

    [Test]
    public void Without_prefill_caching_forks_still_share_full_blocks()
    {
        Use(new PrefillConfiguration { EnablePrefillCaching = false });
        BlockTable parent = Computed(Tokens(8));
        BlockTable child = Forked(parent, 8);
        Assert.That(_manager.ReferencedBlocks, Is.EqualTo(2));
        Assert.That(_cache.TryReserve(child, 2, 8, _copies), Is.True);
        Assert.That(_copies, Is.EqualTo(new[] { new BlockCopy(parent[0], child[0]) }), "of a block that is wholly rewritten nothing is copied");
        Assert.That(child[1], Is.Not.EqualTo(parent[1]));
    }

    [Test]
    public void One_prefix_too_many_drops_the_least_recently_used_one()
    {
        Use(new PrefillConfiguration { PrefillCacheMaxEntries = 2 });
        Release(Computed(Tokens(8, from: 100)));
        Release(Computed(Tokens(8, from: 200)));
        Assert.That(_manager.CachedPrefixes, Is.EqualTo(2));
        Release(Computed(Tokens(8, from: 300)));
        Assert.That(_manager.CachedPrefixes, Is.EqualTo(2));
        Assert.That(_cache.CountCached(Tokens(9, from: 100), ""), Is.Zero);
        Assert.That(_cache.CountCached(Tokens(9, from: 200), ""), Is.EqualTo(8));
        Assert.That(_cache.CountCached(Tokens(9, from: 300), ""), Is.EqualTo(8));
    }

    [Test]
    public void A_prefix_is_dropped_up_to_where_it_branches()
    {
        Use(new PrefillConfiguration { PrefillCacheMaxEntries = 2 });
        Release(Computed([.. Tokens(4), .. Tokens(8, from: 100)]));
        Release(Computed([.. Tokens(4), .. Tokens(4, from: 200)]));
        Release(Computed([.. Tokens(4), .. Tokens(4, from: 300)]));
        Assert.That(_manager.CachedPrefixes, Is.EqualTo(2));
        Assert.That(_manager.CachedBlocks, Is.EqualTo(3));
        Assert.That(_cache.CountCached([.. Tokens(4), .. Tokens(9, from: 100)], ""), Is.EqualTo(4));
    }

    [Test]
    public void A_prefix_is_dropped_up_to_where_it_is_referenced()
    {
        Use(new PrefillConfiguration { PrefillCacheMaxEntries = 0 });
        BlockTable running = Computed(Tokens(8));
        Release(Computed(Tokens(16)));
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 2, 0, 2)));
        Assert.That(_cache.CountCached(Tokens(17), ""), Is.EqualTo(8));
        Release(running);
        Assert.That(Counts(), Is.EqualTo((TotalBlocks, 0, 0)));
    }

    [Test]
    public void A_prefix_that_nobody_used_for_its_time_to_live_is_dropped()
    {
        Use(new PrefillConfiguration { PrefillCacheTtlSeconds = 10 });
        Release(Computed(Tokens(8, from: 100)));
        _clock.Advance(TimeSpan.FromSeconds(6));
        Release(Computed(Tokens(8, from: 200)));
        _clock.Advance(TimeSpan.FromSeconds(3.999));
        Assert.That(_cache.CountCached(Tokens(9, from: 100), ""), Is.EqualTo(8));
        _clock.Advance(TimeSpan.FromSeconds(0.001));
        Assert.That(_cache.CountCached(Tokens(9, from: 100), ""), Is.Zero);
        Assert.That(_cache.CountCached(Tokens(9, from: 200), ""), Is.EqualTo(8));
        Assert.That(Counts(), Is.EqualTo((TotalBlocks - 2, 2, 0)));
    }

    [Test]
    public void A_prefix_in_use_does_not_age()
    {
        Use(new PrefillConfiguration { PrefillCacheTtlSeconds = 10 });
        BlockTable table = Computed(Tokens(8));
        _clock.Advance(TimeSpan.FromSeconds(60));
        Assert.That(_cache.CountCached(Tokens(9), ""), Is.EqualTo(8));
        Release(table);
        _clock.Advance(TimeSpan.FromSeconds(9));
        Attached(Tokens(9), expected: 8);
    }

    [Test]
    public void Expired_prefixes_can_be_dropped_when_nothing_else_happens()
    {
        Use(new PrefillConfiguration { PrefillCacheTtlSeconds = 10 });
        Release(Computed(Tokens(8)));
        _clock.Advance(TimeSpan.FromSeconds(10));
        _manager.DropExpiredPrefixes();
        Assert.That(Counts(), Is.EqualTo((TotalBlocks, 0, 0)));
        Assert.That(_manager.CachedPrefixes, Is.Zero);
    }

    [Test]
    public void Prefixes_whose_hashes_collide_are_told_apart()
    {
        Use(new PrefillConfiguration(), (_, _) => 42);
        Computed(Tokens(8, from: 100), "alice");
        Computed(Tokens(8, from: 200), "alice");
        Attached(Tokens(9, from: 100), "alice", expected: 8);
        Attached(Tokens(9, from: 200), "alice", expected: 8);
        Attached(Tokens(9, from: 100), "bob", expected: 0);
        Attached([.. Tokens(4, from: 100), .. Tokens(5, from: 204)], "alice", expected: 4);
    }

    [Test]
    public void Hits_are_counted_in_tokens()
    {
        Computed(Tokens(10));
        Attached(Tokens(10));
        Assert.That(_manager.QueriedTokens, Is.EqualTo(20));
        Assert.That(_manager.HitTokens, Is.EqualTo(8));
    }

    [Test]
    public void Usage_counts_shared_blocks_once_and_cached_ones_not_at_all()
    {
        BlockTable table = Computed(Tokens(8));
        Attached(Tokens(9));
        Assert.That(_manager.GetCurrentUsageBytes(), Is.EqualTo(2 * BlockSize * 10));
        _tables.ForEach(_cache.Release);
        Assert.That(table.Count, Is.Zero);
        Assert.That(_manager.GetCurrentUsageBytes(), Is.Zero);
    }

    [Test]
    public void An_opaque_request_holds_blocks_for_its_tokens_and_grows()
    {
        RequestId id = RequestId.New();
        Assert.That(_manager.AllocateCache(id, 5), Is.EqualTo(2 * BlockSize * 10));
        Assert.That(_manager.AllocateCache(id, 9), Is.EqualTo(3 * BlockSize * 10));
        Assert.That(_manager.AllocateCache(id, 1), Is.EqualTo(3 * BlockSize * 10), "it never shrinks");
        Assert.That(_manager.GetCurrentUsageBytes(), Is.EqualTo(3 * BlockSize * 10));
        _manager.ReleaseCache(id);
        _manager.ReleaseCache(id);
        Assert.That(Counts(), Is.EqualTo((TotalBlocks, 0, 0)));
    }

    [Test]
    public void An_opaque_request_takes_room_from_cached_prefixes()
    {
        Release(Computed(Tokens(TotalBlocks * BlockSize)));
        _manager.AllocateCache(RequestId.New(), TotalBlocks * BlockSize);
        Assert.That(Counts(), Is.EqualTo((0, 0, TotalBlocks)));
    }

    [Test]
    public void A_full_pool_refuses_opaque_requests_and_says_what_is_missing()
    {
        RequestId id = RequestId.New();
        _manager.AllocateCache(id, (TotalBlocks - 1) * BlockSize);
        var refused = Assert.Throws<KVCacheExhaustedException>(() => _manager.AllocateCache(RequestId.New(), 2 * BlockSize));
        Assert.That((refused!.NeededBlocks, refused.AvailableBlocks), Is.EqualTo((2, 1)));
        Assert.That(refused.Message, Does.Contain("TotalBlocks"));
        Assert.Throws<KVCacheExhaustedException>(() => _manager.AllocateCache(id, int.MaxValue));
        Assert.That(Counts(), Is.EqualTo((1, 0, TotalBlocks - 1)));
        _manager.ReleaseCache(id);
        Assert.That(_manager.FreeBlocks, Is.EqualTo(TotalBlocks));
    }

    [Test]
    public void Wrong_arguments_are_refused()
    {
        BlockTable table = Computed(Tokens(12));
        BlockTable unshared = Reserve(1);
        Assert.Multiple(() =>
        {
            Assert.That(() => _manager.AllocateCache(RequestId.Empty, 1), Throws.ArgumentException);
            Assert.That(() => _manager.AllocateCache(RequestId.New(), 0), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => _cache.Attach(table, Tokens(1), ""), Throws.InvalidOperationException);
            Assert.That(() => _cache.Fork(table, table, 4), Throws.InvalidOperationException);
            Assert.That(() => _cache.Fork(table, new BlockTable(), 13), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => _cache.TryReserve(table, 12, 12, _copies), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => _cache.TryReserve(unshared, -1, 0, _copies), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => _cache.TryReserve(table, 13, 14, _copies), Throws.InstanceOf<ArgumentOutOfRangeException>(), "a gap");
            Assert.That(() => _cache.TryReserve(table, 7, 12, _copies), Throws.InstanceOf<ArgumentOutOfRangeException>(), "before the last registered block");
            Assert.That(() => _cache.Commit(table, Tokens(13)), Throws.ArgumentException);
            Assert.That(() => new PagedKVCacheManager(null!), Throws.ArgumentNullException);
            Assert.That(() => new PagedKVCacheManager(new KVCacheConfiguration(0)), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => new PagedKVCacheManager(new KVCacheConfiguration(int.MaxValue)), Throws.InstanceOf<ArgumentOutOfRangeException>());
        });
    }

    [Test]
    public void Writing_into_a_registered_block_without_reserving_it_is_noticed()
    {
        BlockTable parent = Attached(Tokens(4));
        _cache.TryReserve(parent, 0, 4, _copies);
        BlockTable child = Forked(parent, 4); // before anything is computed
        _cache.Commit(parent, Tokens(4));
        Assert.That(() => _cache.Commit(child, Tokens(4, from: 50)), Throws.InvalidOperationException.With.Message.Contains("reserve"));
    }

    [Test]
    public void A_disposed_cache_refuses_claims_and_takes_back_what_is_held()
    {
        BlockTable table = Computed(Tokens(10));
        RequestId id = RequestId.New();
        _manager.AllocateCache(id, 1);
        _manager.Dispose();
        Assert.Multiple(() =>
        {
            Assert.That(() => _manager.AllocateCache(id, 1), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => _cache.Attach(new BlockTable(), Tokens(1), ""), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => _cache.TryReserve(table, 10, 11, _copies), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => _cache.Fork(table, new BlockTable(), 4), Throws.InstanceOf<ObjectDisposedException>());
        });
        Release(table);
        _manager.ReleaseCache(id);
        Assert.That(_manager.ReferencedBlocks, Is.Zero);
    }

    [Test]
    public void A_steady_decode_allocates_nothing()
    {
        int[] tokens = Tokens(TotalBlocks * BlockSize);
        BlockTable table = Computed(tokens[..1]);
        table.EnsureCapacity(TotalBlocks);
        _copies.EnsureCapacity(1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int position = 1; position < tokens.Length; position++)
        {
            _cache.TryReserve(table, position, position + 1, _copies);
            _cache.Commit(table, tokens.AsSpan(0, position + 1));
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(table.RegisteredBlocks, Is.EqualTo(TotalBlocks));
    }

    private static int[] Tokens(int count, int from = 0) => [.. Enumerable.Range(from, count)];

    private void Use(PrefillConfiguration prefill, PrefixHash? hash = null)
    {
        var configuration = new KVCacheConfiguration(TotalBlocks, BlockSize, BytesPerToken: 10);
        _manager = hash is null ? new(configuration, prefill, _clock) : new(configuration, prefill, _clock, hash);
        _cache = _manager;
    }

    private (int Free, int Cached, int Referenced) Counts() => (_manager.FreeBlocks, _manager.CachedBlocks, _manager.ReferencedBlocks);

    private BlockTable Attached(int[] tokens, string salt = "", int? expected = null)
    {
        var table = new BlockTable();
        int cached = _cache.Attach(table, tokens, salt);
        _tables.Add(table);
        Assert.That(cached, Is.EqualTo(expected ?? cached));
        return table;
    }

    private BlockTable Computed(int[] tokens, string salt = "")
    {
        var table = new BlockTable();
        int cached = _cache.Attach(table, tokens, salt);
        Assert.That(_cache.TryReserve(table, cached, tokens.Length, []), Is.True);
        _cache.Commit(table, tokens);
        _tables.Add(table);
        return table;
    }

    private BlockTable Forked(BlockTable parent, int tokens)
    {
        var child = new BlockTable();
        _cache.Fork(parent, child, tokens);
        _tables.Add(child);
        return child;
    }

    private BlockTable Reserve(int blocks)
    {
        var table = new BlockTable();
        Assert.That(_cache.TryReserve(table, 0, blocks * BlockSize, _copies), Is.True);
        _tables.Add(table);
        return table;
    }

    private void Release(BlockTable table)
    {
        _cache.Release(table);
        KVCacheInvariants.Check(_manager, _tables);
    }
}
