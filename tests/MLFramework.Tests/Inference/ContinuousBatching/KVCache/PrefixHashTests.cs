using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

public class PrefixHashTests
{
    private static readonly PrefixNode Root = PrefixNode.RootOf("a");

    [Test]
    public void The_hash_depends_on_every_token_the_parent_and_the_salt([Values(1, 2, 3, 16, 17)] int blockSize)
    {
        int[] tokens = new int[blockSize];
        var hashes = new HashSet<ulong>
        {
            FoldedPrefixHash.Compute(Root, tokens),
            FoldedPrefixHash.Compute(Root with { Block = 0 }, tokens),
            FoldedPrefixHash.Compute(Root with { Block = 1 }, tokens),
            FoldedPrefixHash.Compute(PrefixNode.RootOf("b"), tokens),
        };
        for (int i = 0; i < blockSize; i++)
        {
            tokens[i]++;
            hashes.Add(FoldedPrefixHash.Compute(Root, tokens));
        }

        Assert.That(hashes, Has.Count.EqualTo(4 + blockSize));
    }

    [Test]
    public void Similar_blocks_spread_over_the_buckets()
    {
        const int Buckets = 1024;
        var loads = new int[Buckets];
        for (int i = 0; i < Buckets; i++)
        {
            loads[FoldedPrefixHash.Compute(Root with { Block = i }, [0, 0, 0, i % 7]) % Buckets]++;
        }

        // One ball per bucket on average: sixteen or more in any of them happen by chance once in 10^10 runs.
        Assert.That(loads.Max(), Is.LessThan(16));
    }
}
