namespace MLFramework.Serving;

/// <summary>Timestamps of a <see cref="TimeProvider"/> and their conversion to durations.</summary>
internal readonly struct TimestampClock(TimeProvider provider)
{
    public TimeProvider Provider => provider;

    public long Now => provider.GetTimestamp();

    /// <summary>A duration in timestamp ticks; <see cref="Timeout.InfiniteTimeSpan"/> is <see cref="long.MaxValue"/>.</summary>
    public long ToTicks(TimeSpan duration) =>
        duration == Timeout.InfiniteTimeSpan ? long.MaxValue : (long)(duration.TotalSeconds * provider.TimestampFrequency);

    public TimeSpan ToTimeSpan(long ticks) => provider.GetElapsedTime(0, ticks);
}
