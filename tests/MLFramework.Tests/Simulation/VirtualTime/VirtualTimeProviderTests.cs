using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.VirtualTime;

public class VirtualTimeProviderTests
{
    private readonly VirtualTimeProvider _clock = new();
    private readonly List<string> _fired = [];

    [Test]
    public void Time_stands_still_until_it_is_advanced()
    {
        DateTimeOffset before = _clock.GetUtcNow();
        Assert.That(_clock.GetUtcNow(), Is.EqualTo(before));
        _clock.Advance(TimeSpan.FromMilliseconds(1.5));
        Assert.That(_clock.GetUtcNow() - before, Is.EqualTo(TimeSpan.FromMilliseconds(1.5)));
    }

    [Test]
    public void Elapsed_time_between_timestamps_is_virtual()
    {
        long start = _clock.GetTimestamp();
        _clock.Advance(TimeSpan.FromSeconds(3));
        Assert.That(_clock.GetElapsedTime(start), Is.EqualTo(TimeSpan.FromSeconds(3)));
    }

    [Test]
    public void Timers_fire_by_due_time_then_by_creation()
    {
        Arm("late", 20);
        Arm("first", 10);
        Arm("second", 10);
        _clock.Advance(TimeSpan.FromMilliseconds(30));
        Assert.That(_fired, Is.EqualTo(new[] { "first", "second", "late" }));
    }

    [Test]
    public void A_callback_sees_the_clock_at_its_due_time()
    {
        TimeSpan seen = default;
        using ITimer timer = _clock.CreateTimer(_ => seen = _clock.Elapsed, null, TimeSpan.FromMilliseconds(7), Timeout.InfiniteTimeSpan);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.That(seen, Is.EqualTo(TimeSpan.FromMilliseconds(7)));
    }

    [Test]
    public void A_disposed_or_changed_timer_does_not_fire_at_its_old_time()
    {
        Arm("disposed", 5).Dispose();
        ITimer moved = Arm("moved", 5);
        moved.Change(TimeSpan.FromMilliseconds(50), Timeout.InfiniteTimeSpan);
        _clock.Advance(TimeSpan.FromMilliseconds(10));
        Assert.That(_fired, Is.Empty);
        _clock.Advance(TimeSpan.FromMilliseconds(40));
        Assert.That(_fired, Is.EqualTo(new[] { "moved" }));
    }

    [Test]
    public void A_periodic_timer_fires_once_a_period()
    {
        using ITimer timer = _clock.CreateTimer(_ => _fired.Add("tick"), null, TimeSpan.FromMilliseconds(10), TimeSpan.FromMilliseconds(10));
        _clock.Advance(TimeSpan.FromMilliseconds(35));
        Assert.That(_fired, Has.Count.EqualTo(3));
    }

    [Test]
    public void A_timer_armed_by_a_callback_within_the_advance_fires_in_it()
    {
        ITimer? inner = null;
        using ITimer outer = _clock.CreateTimer(_ => inner = Arm("inner", 5), null, TimeSpan.FromMilliseconds(5), Timeout.InfiniteTimeSpan);
        _clock.Advance(TimeSpan.FromMilliseconds(10));
        inner?.Dispose();
        Assert.That(_fired, Is.EqualTo(new[] { "inner" }));
    }

    [Test]
    public void The_next_due_time_is_that_of_the_earliest_armed_timer()
    {
        Assert.That(_clock.NextDue, Is.Null);
        Arm("x", 30);
        ITimer gone = Arm("y", 10);
        gone.Dispose();
        Assert.That(_clock.NextDue, Is.EqualTo(TimeSpan.FromMilliseconds(30)));
    }

    [Test]
    public void Time_does_not_run_backwards() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _clock.Advance(TimeSpan.FromTicks(-1)));

    private ITimer Arm(string name, int milliseconds) =>
        _clock.CreateTimer(_ => _fired.Add(name), null, TimeSpan.FromMilliseconds(milliseconds), Timeout.InfiniteTimeSpan);
}
