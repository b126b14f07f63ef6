namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Arithmetic of limits that may lie further away than timestamps and timers reach.</summary>
internal static class TimeLimits
{
    /// <summary>The longest time that a timer can be set to: it counts milliseconds in 32 bits.</summary>
    public static readonly TimeSpan LongestTimer = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    /// <summary>The timestamp that lies <paramref name="span"/> after another; <see cref="long.MaxValue"/>, which stands for never, if there is none.</summary>
    public static long TimestampAfter(this TimeProvider time, long timestamp, TimeSpan span)
    {
        double ticks = span.TotalSeconds * time.TimestampFrequency;
        return ticks >= long.MaxValue - timestamp ? long.MaxValue : timestamp + (long)ticks;
    }

    /// <summary>A time that a timer can be set to: <paramref name="span"/>, unless that is longer.</summary>
    public static TimeSpan ForTimer(TimeSpan span) => span < LongestTimer ? span : LongestTimer;
}
