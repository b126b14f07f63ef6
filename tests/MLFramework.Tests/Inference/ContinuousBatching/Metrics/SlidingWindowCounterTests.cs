using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics;

public class SlidingWindowCounterTests
{
    private const int WindowSeconds = 64;

    private readonly VirtualTimeProvider _clock = new();
    private readonly SlidingWindowCounter _counter;

    public SlidingWindowCounterTests() => _counter = new(WindowSeconds, _clock);

    [Test]
    public void The_rate_divides_by_the_time_observed_while_that_is_shorter_than_the_window()
    {
        _counter.Add(10);
        Advance(4);
        _counter.Add(10);
        Assert.That(_counter.GetRate(), Is.EqualTo(5));
    }

    [Test]
    public void Before_any_time_has_passed_there_is_no_rate()
    {
        _counter.Add(10);
        Assert.That(_counter.GetRate(), Is.Zero);
    }

    [Test]
    public void A_steady_rate_is_told_exactly_however_long_it_lasts([Values(10, 63, 64, 65, 100, 1000)] int seconds)
    {
        for (int i = 0; i < seconds; i++)
        {
            _counter.Add(3);
            Advance(1);
        }

        Assert.That(_counter.GetRate(), Is.EqualTo(3).Within(1e-9));
    }

    [Test]
    public void An_event_counts_for_at_least_63_64ths_of_the_window_and_never_longer_than_it()
    {
        Advance(0.5);
        _counter.Add(1);
        Advance(WindowSeconds - 1);
        Assert.That(_counter.GetRate(), Is.GreaterThan(0));
        Advance(1);
        Assert.That(_counter.GetRate(), Is.Zero);
    }

    [Test]
    public void Only_events_of_the_window_count()
    {
        _counter.Add(1_000_000);
        Advance(WindowSeconds);
        _counter.Add(63);
        Assert.That(_counter.GetRate(), Is.EqualTo(1), "63 events over the 63 whole buckets");
    }

    [Test]
    public void After_a_pause_longer_than_many_windows_nothing_is_left_over()
    {
        for (int i = 0; i < 3 * WindowSeconds; i++)
        {
            _counter.Add(1);
            Advance(1);
        }

        Advance(1_000_000.5);
        Assert.That(_counter.GetRate(), Is.Zero);
        _counter.Add(127);
        Assert.That(_counter.GetRate(), Is.EqualTo(2));
    }

    [Test]
    public void Counts_beyond_32_bits_add_up()
    {
        Advance(1);
        _counter.Add(int.MaxValue);
        _counter.Add(int.MaxValue);
        Assert.That(_counter.GetRate(), Is.EqualTo(2.0 * int.MaxValue));
    }

    [Test]
    public void A_reset_forgets_events_and_starts_to_observe_anew()
    {
        _counter.Add(1_000);
        Advance(10);
        _counter.Reset();
        _counter.Add(6);
        Advance(2);
        Assert.That(_counter.GetRate(), Is.EqualTo(3));
    }

    [Test]
    public void Counting_allocates_nothing()
    {
        _counter.Add(1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1_000; i++)
        {
            _counter.Add(1);
            Advance(1);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void A_negative_count_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => _counter.Add(-1));

    [TestCase(0)]
    [TestCase(-5)]
    public void A_window_below_one_second_is_refused(int seconds) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new SlidingWindowCounter(seconds));

    private void Advance(double seconds) => _clock.Advance(TimeSpan.FromSeconds(seconds));
}
