using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

public class KVCacheConfigurationTests
{
    [Test]
    public void A_budget_gives_as_many_whole_blocks_as_fit()
    {
        Assert.That(KVCacheConfiguration.ForMemory(1000, bytesPerToken: 10, blockSize: 16), Is.EqualTo(new KVCacheConfiguration(6, 16, 10)));
        Assert.That(KVCacheConfiguration.ForMemory(160, bytesPerToken: 10).TotalBlocks, Is.EqualTo(1));
    }

    [Test]
    public void A_budget_beyond_what_can_be_counted_gives_the_largest_valid_pool()
    {
        KVCacheConfiguration configuration = KVCacheConfiguration.ForMemory(long.MaxValue, bytesPerToken: 1);
        Assert.That(configuration.Validate, Throws.Nothing);
        Assert.That((configuration with { TotalBlocks = configuration.TotalBlocks + 1 }).Validate, Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [TestCase(159, 10, 16)]
    [TestCase(long.MaxValue, long.MaxValue, 16)]
    [TestCase(0, 10, 16)]
    [TestCase(-1, 10, 16)]
    [TestCase(100, 0, 16)]
    [TestCase(100, 10, 0)]
    public void A_budget_that_holds_no_block_is_refused(long memoryBytes, long bytesPerToken, int blockSize) =>
        Assert.That(() => KVCacheConfiguration.ForMemory(memoryBytes, bytesPerToken, blockSize), Throws.InstanceOf<ArgumentOutOfRangeException>());

    [TestCase(0, 16, 1)]
    [TestCase(1, 0, 1)]
    [TestCase(1, 16, 0)]
    [TestCase(int.MaxValue, 16, 1)]
    [TestCase(2, 16, long.MaxValue / 16)]
    public void A_member_out_of_range_is_refused(int totalBlocks, int blockSize, long bytesPerToken) =>
        Assert.That(new KVCacheConfiguration(totalBlocks, blockSize, bytesPerToken).Validate, Throws.InstanceOf<ArgumentOutOfRangeException>());
}
