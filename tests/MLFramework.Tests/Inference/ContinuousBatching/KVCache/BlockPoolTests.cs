using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

public class BlockPoolTests
{
    private readonly BlockPool _pool = new(3);

    [Test]
    public void Every_block_is_claimed_once()
    {
        Assert.That(new[] { _pool.Claim(), _pool.Claim(), _pool.Claim() }, Is.EquivalentTo(new[] { 0, 1, 2 }));
        Assert.That((_pool.FreeBlocks, _pool.ReferencedBlocks), Is.EqualTo((0, 3)));
    }

    [Test]
    public void The_block_freed_last_is_claimed_first()
    {
        int[] blocks = [_pool.Claim(), _pool.Claim()];
        foreach (int block in blocks)
        {
            _pool.DropReference(block);
            _pool.Free(block);
        }

        Assert.That(_pool.EnumerateFree(), Is.EqualTo(new[] { blocks[1], blocks[0], 2 }));
        Assert.That(_pool.Claim(), Is.EqualTo(blocks[1]));
    }

    [Test]
    public void Only_the_last_reference_lets_a_block_go()
    {
        int block = _pool.Claim();
        _pool.AddReference(block);
        Assert.That(_pool.References(block), Is.EqualTo(2));
        Assert.That(_pool.ReferencedBlocks, Is.EqualTo(1));
        Assert.That(_pool.DropReference(block), Is.False);
        Assert.That(_pool.DropReference(block), Is.True);
        Assert.That((_pool.FreeBlocks, _pool.ReferencedBlocks), Is.EqualTo((2, 0)), "not free until it is given back");
    }
}
