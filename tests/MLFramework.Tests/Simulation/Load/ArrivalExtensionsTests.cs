using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class ArrivalExtensionsTests
{
    private static readonly Arrival[] Load = [.. new GeneratedLoad(10, 2000).Generate()];

    [Test]
    public void A_load_played_faster_keeps_all_but_its_times()
    {
        Arrival[] fast = [.. Load.AtSpeed(4)];
        Assert.That(fast.Select(a => a.Time), Is.EqualTo(Load.Select(a => a.Time / 4)));
        Assert.That(fast.Select(a => a.Prompt), Is.EqualTo(Load.Select(a => a.Prompt)));
    }

    [TestCase(0)]
    [TestCase(-1)]
    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void A_speed_that_is_none_is_refused(double speed) =>
        Assert.That(() => Load.AtSpeed(speed), Throws.InstanceOf<ArgumentOutOfRangeException>());

    [Test]
    public void Tenants_get_equal_shares_and_the_same_seed_deals_alike()
    {
        Arrival[] dealt = [.. Load.WithTenants(4, seed: 1)];
        Assert.That(dealt.GroupBy(a => a.Tenant).Select(g => g.Count()), Has.Exactly(4).EqualTo(500).Within(15).Percent);
        Assert.That(Load.WithTenants(4, seed: 1).Select(a => a.Tenant), Is.EqualTo(dealt.Select(a => a.Tenant)));
    }

    [Test]
    public void Only_the_named_tenant_gets_longer_prompts()
    {
        Arrival[] before = [.. Load.WithTenants(2, seed: 1)];
        Arrival[] after = [.. before.WithLongerPrompts("tenant-1", 10)];
        Assert.That(after.Zip(before, (a, b) => a.PromptTokens == b.PromptTokens * (a.Tenant == "tenant-1" ? 10 : 1)), Has.All.True);
    }

    [Test]
    public void A_tenants_prompts_begin_alike_and_differ_from_other_tenants()
    {
        Arrival[] load = [.. Load.WithTenants(3, seed: 1).WithSharedPrefix(64)];
        Assert.That(load.GroupBy(a => a.Tenant).Select(g => g.Select(a => a.Prompt[0]).Distinct().Single()), Is.Unique.And.All.Property(nameof(PromptSegment.Length)).EqualTo(64));
        Assert.That(load[0].PromptTokens, Is.EqualTo(Load[0].PromptTokens + 64));
    }

    [Test]
    public void Priorities_follow_their_weights()
    {
        int[] counts = [.. Load.WithPriorities([1, 2, 0, 1], seed: 1).CountBy(a => a.Priority).OrderBy(p => p.Key).Select(p => p.Value)];
        Assert.That(counts, Has.Length.EqualTo(3), "a class of weight 0 gets none");
        Assert.That(counts[0], Is.EqualTo(500).Within(15).Percent);
        Assert.That(counts[1], Is.EqualTo(1000).Within(15).Percent);
    }

    [TestCase(new[] { 1, 1, 1 })]
    [TestCase(new[] { 0, 0, 0, 0 })]
    [TestCase(new[] { 1, -1, 1, 1 })]
    public void Weights_that_make_no_distribution_are_refused(int[] weights) =>
        Assert.That(() => Load.WithPriorities(weights, 1), Throws.ArgumentException.With.Message.Contains("4 weights"));

    [Test]
    public void Merged_loads_are_in_order_of_arrival() =>
        Assert.That(Load.MergeWith(new GeneratedLoad(30, 100) { Seed = 9 }.Generate()).Select(a => a.Time), Is.Ordered.And.Exactly(2100).Items);
}
