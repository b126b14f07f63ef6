namespace MLFramework.Simulation;

/// <summary>
/// A clock that stands still until it is told to move. Timers fire in the order of their due time, then of their
/// creation, on the thread that advances the clock, so that a run that reads time only from here is repeatable.
/// </summary>
/// <remarks>
/// Thread-safe. One tick of <see cref="GetTimestamp"/> is 100 ns (<see cref="TimeSpan.Ticks"/>). A callback sees the
/// clock at exactly its due time.
/// </remarks>
public sealed class VirtualTimeProvider : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly PriorityQueue<VirtualTimer, (long DueTicks, long Sequence)> _due = new();
    private readonly DateTimeOffset _start;
    private long _elapsedTicks;
    private long _nextSequence;

    /// <summary>Starts the clock at midnight of 2000-01-01 UTC.</summary>
    public VirtualTimeProvider()
        : this(new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero))
    {
    }

    /// <summary>Starts the clock at <paramref name="start"/>.</summary>
    /// <param name="start">What <see cref="GetUtcNow"/> answers until the first advance.</param>
    public VirtualTimeProvider(DateTimeOffset start) => _start = start.ToUniversalTime();

    /// <summary>Virtual time since the clock was made.</summary>
    public TimeSpan Elapsed => TimeSpan.FromTicks(Volatile.Read(ref _elapsedTicks));

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _start + Elapsed;

    /// <inheritdoc/>
    public override long GetTimestamp() => Volatile.Read(ref _elapsedTicks);

    /// <summary>Due time of the earliest armed timer since the clock was made, or null when none is armed.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            lock (_lock)
            {
                DropStale();
                return _due.TryPeek(out _, out var key) ? TimeSpan.FromTicks(key.DueTicks) : null;
            }
        }
    }

    /// <summary>Moves the clock forward by <paramref name="duration"/>, firing on the way every timer that falls due.</summary>
    /// <param name="duration">How far; zero fires what is already due.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="duration"/> is negative: time does not run backwards.</exception>
    public void Advance(TimeSpan duration)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(duration, TimeSpan.Zero);
        long target = Volatile.Read(ref _elapsedTicks) + duration.Ticks;
        while (TakeDue(target) is { } timer)
        {
            timer.Fire();
        }

        Volatile.Write(ref _elapsedTicks, Math.Max(target, Volatile.Read(ref _elapsedTicks)));
    }

    /// <summary>Moves the clock to the earliest armed timer and fires that one timer.</summary>
    /// <returns>False when no timer is armed; the clock then stays.</returns>
    public bool AdvanceToNextTimer()
    {
        if (TakeDue(long.MaxValue) is not { } timer)
        {
            return false;
        }

        timer.Fire();
        return true;
    }

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new VirtualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Takes the earliest timer due at or before <paramref name="limitTicks"/> and sets the clock to its due time.</summary>
    private VirtualTimer? TakeDue(long limitTicks)
    {
        lock (_lock)
        {
            DropStale();
            if (!_due.TryPeek(out var timer, out var key) || key.DueTicks > limitTicks)
            {
                return null;
            }

            _due.Dequeue();
            Volatile.Write(ref _elapsedTicks, Math.Max(_elapsedTicks, key.DueTicks));
            timer.Rearm_NeedsLock();
            return timer;
        }
    }

    /// <summary>A timer that was changed or disposed leaves its old entry behind; it is dropped when it comes up.</summary>
    private void DropStale()
    {
        while (_due.TryPeek(out var timer, out var key) && timer.Sequence != key.Sequence)
        {
            _due.Dequeue();
        }
    }

    /// <summary>As the system's timers, which count milliseconds in 32 bits: code that would fail there fails here.</summary>
    private static readonly TimeSpan s_longestDueTime = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private sealed class VirtualTimer(VirtualTimeProvider clock, TimerCallback callback, object? state) : ITimer
    {
        private const long Disarmed = -1;
        private TimeSpan _period = Timeout.InfiniteTimeSpan;
        private bool _disposed;

        /// <summary>Identifies the one live entry of this timer in the clock's queue.</summary>
        public long Sequence { get; private set; } = Disarmed;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(dueTime, s_longestDueTime);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(period, s_longestDueTime);
            lock (clock._lock)
            {
                if (_disposed)
                {
                    return false;
                }

                _period = period;
                Arm_NeedsLock(dueTime);
                return true;
            }
        }

        public void Fire() => callback(state);

        public void Rearm_NeedsLock() =>
            Arm_NeedsLock(_period > TimeSpan.Zero ? _period : Timeout.InfiniteTimeSpan);

        public void Dispose()
        {
            lock (clock._lock)
            {
                _disposed = true;
                Sequence = Disarmed;
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Arm_NeedsLock(TimeSpan dueTime)
        {
            if (dueTime == Timeout.InfiniteTimeSpan)
            {
                Sequence = Disarmed;
                return;
            }

            Sequence = clock._nextSequence++;
            clock._due.Enqueue(this, (clock._elapsedTicks + Math.Max(0, dueTime.Ticks), Sequence));
        }
    }
}
