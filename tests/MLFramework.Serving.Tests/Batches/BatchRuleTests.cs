using MLFramework.Simulation;

namespace MLFramework.Serving.Tests.Batches;

public class BatchRuleTests
{
    private static readonly long s_millisecond = TimeSpan.TicksPerMillisecond;

    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 32, PreferBatchSize = 16, MaxBatchCost = 1000 };

    [TestCase(TimeoutStrategy.DispatchPartial, 16, 5)]
    [TestCase(TimeoutStrategy.WaitForFull, 32, 10)]
    [TestCase(TimeoutStrategy.Adaptive, 16, 5)]
    public void A_batch_is_due_by_count_by_age_or_by_cost(TimeoutStrategy strategy, int target, int holdMilliseconds)
    {
        _configuration.TimeoutStrategy = strategy;
        BatchRule rule = Rule();
        Assert.Multiple(() =>
        {
            Assert.That(rule.IsDue(target, 0, 0));
            Assert.That(rule.IsDue(target - 1, 999, (holdMilliseconds * s_millisecond) - 1), Is.False);
            Assert.That(rule.IsDue(1, 0, holdMilliseconds * s_millisecond));
            Assert.That(rule.IsDue(1, 1000, 0));
            Assert.That(rule.IsDue(0, 0, long.MaxValue), Is.False);
        });
    }

    [Test]
    public void A_full_queue_is_worth_a_batch_whatever_the_preferred_size()
    {
        _configuration.MaxQueueSize = 10;
        _configuration.TimeoutStrategy = TimeoutStrategy.WaitForFull;
        Assert.That(Rule().IsDue(10, 0, 0));
    }

    [Test]
    public void A_request_fits_within_size_and_cost_and_a_first_one_always()
    {
        BatchRule rule = Rule();
        Assert.Multiple(() =>
        {
            Assert.That(rule.Fits(31, 900, 100));
            Assert.That(rule.Fits(31, 901, 100), Is.False);
            Assert.That(rule.Fits(32, 0, 0), Is.False);
            Assert.That(rule.Fits(0, 0, 5000));
            Assert.That((rule with { MaxCost = long.MaxValue }).Fits(1, long.MaxValue, 1), Is.False, "no overflow");
        });
    }

    private BatchRule Rule() => BatchRule.For(_configuration, new TimestampClock(new VirtualTimeProvider()));
}
