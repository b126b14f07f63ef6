using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Admission;

public class WaitEstimatorTests
{
    private const long Frequency = 1000;
    private readonly WaitEstimator _estimator = new();

    [Test]
    public void Nothing_is_known_at_first()
    {
        Assert.That(_estimator.EstimateWait(0, 0, canStart: true), Is.Null);
        Assert.That(_estimator.EstimateService(10), Is.Null);
    }

    [Test]
    public void An_idle_scheduler_starts_at_once_and_a_running_one_after_half_a_step()
    {
        _estimator.RecordIteration(0.02);
        Assert.That(_estimator.EstimateWait(0, 0, canStart: true), Is.EqualTo(TimeSpan.Zero));
        Assert.That(_estimator.EstimateWait(0, 5, canStart: true), Is.EqualTo(TimeSpan.FromMilliseconds(10)));
    }

    [Test]
    public void A_full_scheduler_that_has_seen_no_ending_cannot_tell()
    {
        _estimator.RecordIteration(0.02);
        Assert.That(_estimator.EstimateWait(0, 5, canStart: false), Is.Null);
    }

    [Test]
    public void Before_a_backlog_was_seen_the_service_time_over_the_slots_stands_in()
    {
        _estimator.RecordIteration(0.02);
        _estimator.RecordService(2, 100);
        Assert.That(_estimator.EstimateWait(0, 4, canStart: false), Is.EqualTo(TimeSpan.FromSeconds(0.5)));
        Assert.That(_estimator.EstimateWait(3, 4, canStart: false), Is.EqualTo(TimeSpan.FromSeconds(2)));
    }

    [Test]
    public void With_a_backlog_the_wait_is_the_place_in_line_times_the_time_between_starts()
    {
        _estimator.RecordIteration(0.02);
        for (int i = 0; i <= 20; i++)
        {
            _estimator.RecordStarts(2, hadBacklog: true, timestamp: i * 500, Frequency);
        }

        Assert.That(_estimator.EstimateWait(9, 4, canStart: false)!.Value.TotalSeconds, Is.EqualTo(10 * 0.25).Within(1e-9));
    }

    [Test]
    public void Time_without_a_backlog_teaches_nothing_of_the_rate()
    {
        _estimator.RecordIteration(0.02);
        _estimator.RecordStarts(1, hadBacklog: true, timestamp: 0, Frequency);
        _estimator.RecordStarts(1, hadBacklog: true, timestamp: 100, Frequency);
        _estimator.RecordStarts(1, hadBacklog: false, timestamp: 900_000, Frequency);
        Assert.That(_estimator.EstimateWait(0, 1, canStart: false)!.Value.TotalSeconds, Is.EqualTo(0.1).Within(1e-9));
    }

    [Test]
    public void The_rate_follows_a_change()
    {
        _estimator.RecordIteration(0.02);
        long now = 0;
        foreach (int gap in Enumerable.Repeat(100, 50).Concat(Enumerable.Repeat(1000, 150)))
        {
            _estimator.RecordStarts(1, hadBacklog: true, now += gap, Frequency);
        }

        Assert.That(_estimator.EstimateWait(0, 1, canStart: false)!.Value.TotalSeconds, Is.EqualTo(1).Within(0.02));
    }

    [Test]
    public void Service_time_is_by_token()
    {
        _estimator.RecordService(2, 100);
        Assert.That(_estimator.EstimateService(50), Is.EqualTo(TimeSpan.FromSeconds(1)));
    }
}
