namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Counts events and tells their rate over the last seconds.</summary>
/// <remarks>
/// The window is a ring of 64 buckets, so that memory and the cost of an addition do not grow with the rate of events. No event older
/// than the window is ever counted; the oldest bucket leaves as a whole, so that the span looked at is between 63/64 of the window and
/// all of it. The rate is exact for that span: it divides by the time that the span has lasted, which right after the start is less
/// than the window. Not thread-safe.
/// </remarks>
public sealed class SlidingWindowCounter
{
    private const int BucketCount = 64;

    private readonly long[] _buckets = new long[BucketCount];
    private readonly TimeProvider _timeProvider;
    private readonly long _bucketTicks;
    private long _start;
    private long _newest;
    private long _total;

    /// <summary>Starts to count.</summary>
    /// <param name="windowSeconds">Length of the window in seconds, at least 1.</param>
    /// <param name="timeProvider">The clock; null for the system's.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="windowSeconds"/> is less than 1.</exception>
    public SlidingWindowCounter(int windowSeconds, TimeProvider? timeProvider = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(windowSeconds, 1);
        _timeProvider = timeProvider ?? TimeProvider.System;
        _bucketTicks = windowSeconds * TimeSpan.TicksPerSecond / BucketCount;
        _start = _timeProvider.GetTimestamp();
    }

    /// <summary>Counts events that happen now.</summary>
    /// <param name="count">How many, at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is negative.</exception>
    public void Add(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        DropOld(ElapsedTicks());
        _buckets[_newest % BucketCount] += count;
        _total += count;
    }

    /// <summary>Events per second over the window, or over the time since the start while that is shorter; 0 when no time has passed.</summary>
    public double GetRate()
    {
        long elapsed = ElapsedTicks();
        DropOld(elapsed);
        long spanStart = Math.Max(0, _newest - BucketCount + 1) * _bucketTicks;
        long span = elapsed - spanStart;
        return span > 0 ? _total * (double)TimeSpan.TicksPerSecond / span : 0;
    }

    /// <summary>Forgets all events and starts anew.</summary>
    public void Reset()
    {
        Array.Clear(_buckets);
        _total = 0;
        _newest = 0;
        _start = _timeProvider.GetTimestamp();
    }

    private long ElapsedTicks() => _timeProvider.GetElapsedTime(_start).Ticks;

    /// <summary>Makes the bucket of this moment the newest, and empties those that it and the time without events replace.</summary>
    private void DropOld(long elapsed)
    {
        long newest = elapsed / _bucketTicks;
        for (long bucket = Math.Max(_newest, newest - BucketCount) + 1; bucket <= newest; bucket++)
        {
            ref long count = ref _buckets[bucket % BucketCount];
            _total -= count;
            count = 0;
        }

        _newest = newest;
    }
}
