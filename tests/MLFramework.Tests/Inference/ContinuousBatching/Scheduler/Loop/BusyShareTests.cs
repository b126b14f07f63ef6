using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Loop;

public class BusyShareTests
{
    private readonly VirtualTimeProvider _clock = new();
    private readonly BusyShare _share;

    public BusyShareTests() => _share = new BusyShare(_clock);

    [Test]
    public void Before_any_time_has_passed_it_is_zero() => Assert.That(_share.Percent(), Is.Zero);

    [TestCase(100)]
    [TestCase(50)]
    [TestCase(10)]
    public void It_is_the_share_of_time_computed_whenever_it_is_read(int percent)
    {
        for (int i = 1; i <= 300; i++)
        {
            Compute(TimeSpan.FromMilliseconds(percent));
            _clock.Advance(TimeSpan.FromMilliseconds(100 - percent));
            Assert.That(_share.Percent(), Is.EqualTo(percent).Within(1), $"After {i * 100} ms.");
        }
    }

    [Test]
    public void What_lies_more_than_ten_seconds_back_is_forgotten()
    {
        Compute(TimeSpan.FromSeconds(5));
        _clock.Advance(TimeSpan.FromSeconds(5));
        Assert.That(_share.Percent(), Is.GreaterThan(30));
        _clock.Advance(TimeSpan.FromSeconds(10));
        Assert.That(_share.Percent(), Is.Zero);
    }

    [Test]
    public void A_run_longer_than_the_window_fills_it()
    {
        Compute(TimeSpan.FromSeconds(60));
        Assert.That(_share.Percent(), Is.EqualTo(100));
    }

    [Test]
    public void After_long_silence_it_starts_afresh()
    {
        Compute(TimeSpan.FromSeconds(1));
        _clock.Advance(TimeSpan.FromDays(365));
        Assert.That(_share.Percent(), Is.Zero);
        Compute(TimeSpan.FromSeconds(10));
        Assert.That(_share.Percent(), Is.EqualTo(100));
    }

    private void Compute(TimeSpan duration)
    {
        _clock.Advance(duration);
        _share.Add(duration.TotalSeconds);
    }
}
