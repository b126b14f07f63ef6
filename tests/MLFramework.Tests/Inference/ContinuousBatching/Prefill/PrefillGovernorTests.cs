using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Prefill;

/// <summary>How much prefill runs beside streams. Steps here take 10 ms plus 0.1 ms per prompt token.</summary>
public class PrefillGovernorTests
{
    private const int Streams = 4;
    private static readonly SchedulerConfiguration s_eager = SchedulerConfiguration.Default with { WarmupIterations = 0 };

    [Test]
    public void Without_streams_nothing_is_held_back() =>
        Assert.That(Taught(s_eager).Allow(0, hasBacklog: false), Is.EqualTo(int.MaxValue));

    [Test]
    public void Switched_off_it_holds_nothing_back() =>
        Assert.That(Taught(s_eager with { EnableAdaptiveBatching = false }).Allow(Streams, hasBacklog: false), Is.EqualTo(int.MaxValue));

    [Test]
    public void While_nothing_is_known_it_tries_a_little() =>
        Assert.That(new PrefillGovernor(s_eager).Allow(Streams, hasBacklog: true), Is.EqualTo(64));

    [Test]
    public void While_nobody_waits_a_step_is_stretched_no_further_than_the_streams_bear() =>
        Assert.That(Taught(s_eager).Allow(Streams, hasBacklog: false), Is.EqualTo((int)(10 * (PrefillGovernor.StreamStretch - 1) / 0.1)).Within(1));

    [TestCase(30, 0.85, null, 183)]
    [TestCase(30, 0.6, null, 100)]
    [TestCase(20, 1.0, null, 400)]
    [TestCase(30, 1.0, 60, 500)]
    [TestCase(30, 0.5, 60, 200)]
    public void With_a_backlog_a_step_fills_its_share_of_the_target(int minIterationsPerSecond, double utilization, int? targetMs, int expected)
    {
        SchedulerConfiguration configuration = s_eager with
        {
            MinIterationsPerSecond = minIterationsPerSecond,
            TargetUtilization = utilization,
            InterTokenTarget = targetMs is { } ms ? TimeSpan.FromMilliseconds(ms) : null,
        };
        Assert.That(Taught(configuration).Allow(Streams, hasBacklog: true), Is.EqualTo(expected).Within(1));
    }

    [Test]
    public void Prefill_always_advances()
    {
        var governor = new PrefillGovernor(s_eager);
        governor.Observe(Streams, 0, 0.010);
        governor.Observe(Streams, 1000, 10);
        Assert.That(governor.Allow(Streams, hasBacklog: false), Is.EqualTo(PrefillGovernor.Least));
    }

    [Test]
    public void It_grows_by_doubling_at_most()
    {
        var governor = new PrefillGovernor(s_eager);
        governor.Observe(Streams, 0, 0.010);
        governor.Observe(Streams, 20, 0.010);
        Assert.That(governor.Allow(Streams, hasBacklog: true), Is.EqualTo(40));
    }

    [Test]
    public void First_iterations_teach_nothing()
    {
        var governor = new PrefillGovernor(SchedulerConfiguration.Default with { WarmupIterations = 3 });
        governor.Observe(Streams, 0, 5);
        governor.Observe(Streams, 1000, 5);
        governor.Observe(Streams, 1000, 5);
        Assert.That(governor.Allow(Streams, hasBacklog: true), Is.EqualTo(64));
        Teach(governor);
        Assert.That(governor.Allow(Streams, hasBacklog: true), Is.EqualTo(183).Within(1));
    }

    [Test]
    public void Streams_hardly_feel_a_long_prompt_beside_them([Values] bool adaptive)
    {
        using var rig = new SchedulerRig(
            constraints: new BatchConstraints(MaxBatchSize: 8, MinBatchSize: 1, MaxSequenceLength: 8192),
            configuration: SchedulerConfiguration.Default with { EnableAdaptiveBatching = adaptive });
        rig.Model.StepTime = batch => TimeSpan.FromMilliseconds(10 + (0.1 * batch.TokenCount));
        for (int i = 0; i < Streams; i++)
        {
            rig.Enqueue($"stream {i}", 200);
        }

        for (int i = 0; i < 30; i++)
        {
            rig.Iterate();
        }

        Request late = rig.Enqueue(new string('x', 3000), 1);
        var steps = new List<double>();
        while (!late.IsCompleted)
        {
            steps.Add(rig.Iterate().ProcessingTime.TotalMilliseconds);
        }

        // A step of four streams takes 10.4 ms.
        Assert.That(steps.Max(), adaptive ? Is.LessThanOrEqualTo(2 * 10.4) : Is.GreaterThan(5 * 10.4));
    }

    private static PrefillGovernor Taught(SchedulerConfiguration configuration)
    {
        var governor = new PrefillGovernor(configuration);
        Teach(governor);
        return governor;
    }

    private static void Teach(PrefillGovernor governor)
    {
        governor.Observe(Streams, 0, 0.010);
        governor.Observe(Streams, 1000, 0.110);
    }
}
