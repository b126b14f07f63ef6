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
        Assert.That(_estimator.EstimateService(10), Is.Null);
    }

    [Test]
    public void An_idle_scheduler_starts_at_once()
    {
        RecordIteration(0.02);
        Assert.That(_estimator.EstimateWait(0, 0, 0, hasSlots: true), Is.EqualTo(TimeSpan.Zero));
    }

    [TestCase(0, 20)]
    [TestCase(50, 50)]
    public void With_a_free_slot_the_wait_is_the_rest_of_the_run_under_way(int expectedMs, int runMs)
    {
        RecordIteration(0.02);
        _estimator.RecordRunStart(_clock.GetTimestamp(), expectedMs / 1000.0, prefillLeft: 0);
        _clock.Advance(TimeSpan.FromMilliseconds(5));
        Assert.That(_estimator.EstimateWait(0, 0, 3, hasSlots: true), Is.EqualTo(TimeSpan.FromMilliseconds(runMs - 5)));
        _clock.Advance(TimeSpan.FromSeconds(5));
        Assert.That(_estimator.EstimateWait(0, 0, 3, hasSlots: true), Is.EqualTo(TimeSpan.Zero), "Overdue.");
    }

    [TestCase(0, 99, 0)]
    [TestCase(0, 100, 1)]
    [TestCase(150, 60, 2)]
    public void Prompts_in_line_take_as_many_iterations_as_were_seen_to_be_full(long prefillLeft, long tokensAhead, int iterations)
    {
        _estimator.RecordIteration(0.04, prefillTokens: 100, hadMore: true);
        _estimator.RecordIteration(0.04, prefillTokens: 3, hadMore: false);
        _estimator.RecordRunStart(_clock.GetTimestamp(), 0.01, prefillLeft);
        TimeSpan wait = _estimator.EstimateWait(1, tokensAhead, 3, hasSlots: true)!.Value;
        Assert.That(wait.TotalSeconds, Is.EqualTo(0.01 + (iterations * 0.04)).Within(1e-9));
    }

    [Test]
    public void A_full_scheduler_that_has_seen_no_ending_cannot_tell()
    {
        RecordIteration(0.02);
        Assert.That(_estimator.EstimateWait(0, 0, 5, hasSlots: false), Is.Null);
    }

    [Test]
    public void Before_a_backlog_was_seen_the_service_time_over_the_slots_stands_in()
    {
        RecordIteration(0.02);
        _estimator.RecordService(2, 100);
        Assert.That(_estimator.EstimateWait(0, 0, 4, hasSlots: false), Is.EqualTo(TimeSpan.FromSeconds(0.5)));
        Assert.That(_estimator.EstimateWait(3, 0, 4, hasSlots: false), Is.EqualTo(TimeSpan.FromSeconds(2)));
    }

    [Test]
    public void With_a_backlog_the_wait_is_the_place_in_line_times_the_time_between_starts()
    {
        RecordIteration(0.02);
        for (int i = 0; i <= 20; i++)
        {
            _estimator.RecordStarts(2, hadBacklog: true, timestamp: Milliseconds(i * 500));
        }

        Assert.That(_estimator.EstimateWait(9, 0, 4, hasSlots: false)!.Value.TotalSeconds, Is.EqualTo(10 * 0.25).Within(1e-9));
    }

    [Test]
    public void Time_without_a_backlog_teaches_nothing_of_the_rate()
    {
        RecordIteration(0.02);
        _estimator.RecordStarts(1, hadBacklog: true, timestamp: Milliseconds(0));
        _estimator.RecordStarts(1, hadBacklog: true, timestamp: Milliseconds(100));
        _estimator.RecordStarts(1, hadBacklog: false, timestamp: Milliseconds(900_000));
        Assert.That(_estimator.EstimateWait(0, 0, 1, hasSlots: false)!.Value.TotalSeconds, Is.EqualTo(0.1).Within(1e-9));
    }

    [Test]
    public void The_rate_follows_a_change()
    {
        RecordIteration(0.02);
        long now = 0;
        foreach (int gap in Enumerable.Repeat(100, 50).Concat(Enumerable.Repeat(1000, 150)))
        {
            _estimator.RecordStarts(1, hadBacklog: true, now += Milliseconds(gap));
        }

        Assert.That(_estimator.EstimateWait(0, 0, 1, hasSlots: false)!.Value.TotalSeconds, Is.EqualTo(1).Within(0.02));
    }

    [Test]
    public void Service_time_is_by_token()
    {
        _estimator.RecordService(2, 100);
        Assert.That(_estimator.EstimateService(50), Is.EqualTo(TimeSpan.FromSeconds(1)));
    }

    private static long Milliseconds(long count) => count * TimeSpan.TicksPerMillisecond;

    private void RecordIteration(double seconds) => _estimator.RecordIteration(seconds, prefillTokens: 0, hadMore: false);
}
