namespace MLFramework.Serving;

/// <summary>A timer that rings no later than asked. Not thread-safe; it rings on the clock's thread.</summary>
/// <remarks>It is only ever moved to an earlier time: to look again in vain now and then costs less than to move a timer for every batch.</remarks>
internal sealed class Alarm : IDisposable
{
    // The system timer cuts to whole milliseconds: asked for less it would ring early, again and again.
    private static readonly TimeSpan s_resolution = TimeSpan.FromMilliseconds(1);

    private readonly TimestampClock _clock;
    private readonly ITimer _timer;
    private long _due = long.MaxValue;

    public Alarm(TimestampClock clock, Action ring)
    {
        _clock = clock;
        _timer = clock.Provider.CreateTimer(static state => ((Action)state!)(), ring, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Makes the alarm ring at <paramref name="due"/> unless it rings earlier anyway.</summary>
    public void RingBy(long due, long now)
    {
        if (due < _due)
        {
            _due = due;
            TimeSpan delay = _clock.ToTimeSpan(Math.Max(0, due - now));
            _timer.Change(delay > s_resolution ? delay : s_resolution, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Says that the alarm has rung: it is no longer set.</summary>
    public void Rang() => _due = long.MaxValue;

    public void Dispose() => _timer.Dispose();
}
