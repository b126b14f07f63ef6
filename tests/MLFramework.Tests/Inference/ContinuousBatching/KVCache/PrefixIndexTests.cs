using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

[TestFixture(false)]
[TestFixture(true)]
public class PrefixIndexTests(bool allCollide)
{
    private static readonly PrefixNode Root = PrefixNode.RootOf("a");

    private readonly PrefixIndex _index = new(8, 2, allCollide ? (_, _) => 5 : FoldedPrefixHash.Compute);

    [Test]
    public void A_block_is_found_by_its_parent_and_its_tokens()
    {
        _index.FindOrAdd(Root, [1, 2], 3);
        _index.FindOrAdd(Root with { Block = 3 }, [1, 2], 4);
        Assert.Multiple(() =>
        {
            Assert.That(_index.Find(Root, [1, 2]), Is.EqualTo(3));
            Assert.That(_index.Find(Root with { Block = 3 }, [1, 2]), Is.EqualTo(4));
            Assert.That(_index.Find(Root with { Block = 4 }, [1, 2]), Is.EqualTo(PrefixNode.NoBlock));
            Assert.That(_index.Find(PrefixNode.RootOf("b"), [1, 2]), Is.EqualTo(PrefixNode.NoBlock));
            Assert.That(_index.Find(Root, [2, 1]), Is.EqualTo(PrefixNode.NoBlock));
            Assert.That((_index.Children(3), _index.Children(4)), Is.EqualTo((1, 0)));
            Assert.That(_index.Parent(4), Is.EqualTo(Root with { Block = 3 }));
        });
    }

    [Test]
    public void The_first_block_registered_for_a_prefix_stays()
    {
        Assert.That(_index.FindOrAdd(Root, [1, 2], 3), Is.EqualTo(3));
        Assert.That(_index.FindOrAdd(Root, [1, 2], 4), Is.EqualTo(3));
        Assert.That(_index.IsRegistered(4), Is.False);
    }

    [Test]
    public void A_block_cannot_stand_for_two_prefixes()
    {
        _index.FindOrAdd(Root, [1, 2], 3);
        Assert.That(() => _index.FindOrAdd(Root, [3, 4], 3), Throws.InvalidOperationException);
    }

    [Test]
    public void Blocks_leave_in_any_order_of_siblings_and_the_others_stay([Values(0, 1, 2)] int first, [Values(0, 1)] int second)
    {
        List<int> blocks = [0, 1, 2];
        blocks.ForEach(block => _index.FindOrAdd(Root, [block, block], block));
        foreach (int choice in new[] { first, second, 0 })
        {
            int gone = blocks[choice];
            blocks.RemoveAt(choice);
            _index.Remove(gone);
            Assert.That(_index.Find(Root, [gone, gone]), Is.EqualTo(PrefixNode.NoBlock));
            Assert.That(_index.IsRegistered(gone), Is.False);
            Assert.That(blocks.TrueForAll(block => _index.Find(Root, [block, block]) == block));
        }
    }

    [Test]
    public void A_parent_forgets_a_child_that_leaves()
    {
        _index.FindOrAdd(Root, [1, 2], 3);
        _index.FindOrAdd(Root with { Block = 3 }, [1, 2], 4);
        _index.Remove(4);
        Assert.That(_index.Children(3), Is.Zero);
        _index.Remove(3);
        Assert.That(_index.FindOrAdd(Root, [1, 2], 5), Is.EqualTo(5));
    }
}
