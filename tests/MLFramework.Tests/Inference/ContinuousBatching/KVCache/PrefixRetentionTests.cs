using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

public class PrefixRetentionTests
{
    private static readonly PrefixNode Root = PrefixNode.RootOf("");

    private readonly BlockPool _pool = new(8);
    private readonly PrefixIndex _index = new(8, 1, FoldedPrefixHash.Compute);
    private readonly PrefixRetention _retention;

    public PrefixRetentionTests() => _retention = new PrefixRetention(_pool, _index, maxPrefixes: 3, timeToLive: 10);

    [Test]
    public void The_oldest_block_is_dropped_first()
    {
        int a = Kept(1, Root, now: 0), b = Kept(2, Root, now: 1), c = Kept(3, Root, now: 2);
        Use(a);
        _retention.Add(a, now: 3);
        _retention.DropOldest();
        Assert.That(Blocks(), Is.EqualTo(new[] { c, a }));
        Assert.That(_index.IsRegistered(b), Is.False);
        Assert.That(_pool.EnumerateFree(), Does.Contain(b));
        Assert.That(_retention.Evicted, Is.EqualTo(1));
    }

    [Test]
    public void A_parent_counts_as_a_prefix_only_when_its_children_are_gone()
    {
        int parent = Registered(1, Root);
        int child = Kept(2, Root with { Block = parent }, now: 0);
        _pool.DropReference(parent);
        _retention.Add(parent, now: 0);
        Assert.That((_retention.Count, _retention.Prefixes), Is.EqualTo((2, 1)));
        _retention.DropOldest();
        Assert.That((_retention.Count, _retention.Prefixes), Is.EqualTo((1, 1)));
        Assert.That(Blocks(), Is.EqualTo(new[] { parent }));
        Assert.That(_retention.Contains(child), Is.False);
    }

    [Test]
    public void One_prefix_too_many_drops_the_oldest_at_once()
    {
        int first = Kept(1, Root, now: 0);
        Kept(2, Root, now: 0);
        Kept(3, Root, now: 0);
        Assert.That(_retention.Prefixes, Is.EqualTo(3));
        Kept(4, Root, now: 0);
        Assert.That(_retention.Prefixes, Is.EqualTo(3));
        Assert.That(_retention.Contains(first), Is.False);
    }

    [Test]
    public void Only_what_is_old_enough_expires()
    {
        int old = Kept(1, Root, now: 0), young = Kept(2, Root, now: 1);
        _retention.DropExpired(now: 9);
        Assert.That(Blocks(), Is.EqualTo(new[] { old, young }));
        _retention.DropExpired(now: 10);
        Assert.That(Blocks(), Is.EqualTo(new[] { young }));
        _retention.DropExpired(now: 100);
        Assert.That(_retention.Count, Is.Zero);
        _retention.DropExpired(now: 200);
        Assert.That(_pool.FreeBlocks, Is.EqualTo(8));
    }

    private int Registered(int token, PrefixNode parent) => _index.FindOrAdd(parent, [token], _pool.Claim());

    private int Kept(int token, PrefixNode parent, long now)
    {
        int block = Registered(token, parent);
        _pool.DropReference(block);
        _retention.Add(block, now);
        return block;
    }

    private void Use(int block)
    {
        _retention.Remove(block);
        _pool.AddReference(block);
        _pool.DropReference(block);
    }

    private IEnumerable<int> Blocks() => _retention.Enumerate().Select(node => node.Block);
}
