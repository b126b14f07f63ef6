using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Admission;

public class WaitEstimatorTests
{
    private readonly VirtualTimeProvider _clock = new();
    private readonly WaitEstimator _estimator;

    public WaitEstimatorTests() => _estimator = new WaitEstimator(_clock);

    [Test]
    public void Nothing_is_known_at_first()
    {
        Assert.That(_estimator.EstimateWait(0, 0, 0, hasSlots: true), Is.Null);
        Assert.That(_estimator.EstimateService(100), Is.Null);
    }

    [Test]
    public void With_nobody_there_a_request_starts_at_once()
    {
        RecordIteration(0.02);
        Assert.That(_estimator.EstimateWait(0, 0, running: 0, hasSlots: true), Is.EqualTo(TimeSpan.Zero));
    }

    [Test]
    public void With_a_free_slot_it_waits_for_the_rest_of_the_run_under_way()
    {
        RecordIteration(0.02);
        _estimator.RecordRunStart(_clock.GetTimestamp(), expectedSeconds: 0.05, prefillLeft: 0);
        _clock.Advance(TimeSpan.FromMilliseconds(20));
        Assert.That(WaitSeconds(0, 0, running: 5, hasSlots: true), Is.EqualTo(0.03).Within(1e-9));
        _clock.Advance(TimeSpan.FromMilliseconds(100));
        Assert.That(WaitSeconds(0, 0, running: 5, hasSlots: true), Is.Zero, "A run that is late may end any moment.");
    }

    [Test]
    public void An_executor_that_does_not_know_is_taken_to_need_as_long_as_before()
    {
        RecordIteration(0.02);
        _estimator.RecordRunStart(_clock.GetTimestamp(), expectedSeconds: 0, prefillLeft: 0);
        Assert.That(WaitSeconds(0, 0, running: 5, hasSlots: true), Is.EqualTo(0.02).Within(1e-9));
    }

    [Test]
    public void With_slots_free_it_waits_for_the_prompts_in_line_before_it()
    {
        _estimator.RecordIteration(0.1, prefillTokens: 500, hadMore: true);
        _estimator.RecordRunStart(_clock.GetTimestamp(), expectedSeconds: 0.1, prefillLeft: 600);
        Assert.That(WaitSeconds(ahead: 2, tokensAhead: 1_000, running: 1, hasSlots: true), Is.EqualTo(0.1 + (3 * 0.1)).Within(1e-9));
        Assert.That(WaitSeconds(ahead: 0, tokensAhead: 0, running: 1, hasSlots: true), Is.EqualTo(0.1 + (1 * 0.1)).Within(1e-9));
    }

    [Test]
    public void An_iteration_that_had_no_prompt_left_over_does_not_say_how_many_fit()
    {
        _estimator.RecordIteration(0.1, prefillTokens: 10, hadMore: false);
        _estimator.RecordRunStart(_clock.GetTimestamp(), expectedSeconds: 0.1, prefillLeft: 0);
        Assert.That(WaitSeconds(ahead: 5, tokensAhead: 1_000, running: 1, hasSlots: true), Is.EqualTo(0.1).Within(1e-9));
    }

    [Test]
    public void Without_slots_and_without_any_ending_nothing_is_known()
    {
        RecordIteration(0.02);
        Assert.That(_estimator.EstimateWait(0, 0, 5, hasSlots: false), Is.Null);
    }

    [Test]
    public void Before_the_first_backlog_the_service_time_over_the_running_requests_stands_in()
    {
        RecordIteration(0.02);
        _estimator.RecordService(2, 100);
        Assert.That(WaitSeconds(0, 0, running: 4, hasSlots: false), Is.EqualTo(0.5));
        Assert.That(WaitSeconds(3, 0, running: 4, hasSlots: false), Is.EqualTo(2));
    }

    [Test]
    public void Without_slots_the_nth_in_line_waits_n_times_the_mean_time_between_starts()
    {
        RecordIteration(0.02);
        for (int i = 0; i < 100; i++)
        {
            Start(2, hadBacklog: true, after: 0.5);
        }

        Assert.That(WaitSeconds(9, 0, running: 4, hasSlots: false), Is.EqualTo(10 * 0.25).Within(1e-9));
    }

    [Test]
    public void Idle_time_between_starts_is_not_counted()
    {
        RecordIteration(0.02);
        Start(1, hadBacklog: true, after: 0);
        Start(1, hadBacklog: true, after: 0.1);
        Start(1, hadBacklog: false, after: 900);
        Assert.That(WaitSeconds(0, 0, running: 1, hasSlots: false), Is.EqualTo(0.1).Within(1e-9));
    }

    [Test]
    public void The_rate_follows_a_change()
    {
        RecordIteration(0.02);
        foreach (double gap in Enumerable.Repeat(0.1, 50).Concat(Enumerable.Repeat(1.0, 150)))
        {
            Start(1, hadBacklog: true, gap);
        }

        Assert.That(WaitSeconds(0, 0, running: 1, hasSlots: false), Is.EqualTo(1).Within(0.02));
    }

    [Test]
    public void Service_time_is_by_token()
    {
        _estimator.RecordService(2, 100);
        Assert.That(_estimator.EstimateService(50), Is.EqualTo(TimeSpan.FromSeconds(1)));
    }

    private void RecordIteration(double seconds) => _estimator.RecordIteration(seconds, prefillTokens: 0, hadMore: false);

    private void Start(int count, bool hadBacklog, double after)
    {
        _clock.Advance(TimeSpan.FromSeconds(after));
        _estimator.RecordStarts(count, hadBacklog, _clock.GetTimestamp());
    }

    private double WaitSeconds(int ahead, long tokensAhead, int running, bool hasSlots) =>
        _estimator.EstimateWait(ahead, tokensAhead, running, hasSlots)!.Value.TotalSeconds;
}
