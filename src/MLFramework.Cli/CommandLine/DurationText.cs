using System.Globalization;

namespace MLFramework.Cli;

/// <summary>Durations as people write them: <c>50ms</c>, <c>1.5s</c>, <c>2m</c>.</summary>
internal static class DurationText
{
    private static readonly (string Suffix, double Seconds)[] Units = [("ms", 1e-3), ("s", 1), ("m", 60)];

    /// <summary>Reads a duration.</summary>
    /// <exception cref="FormatException">The text is no positive number with a unit, or more than a day.</exception>
    public static TimeSpan Parse(string text)
    {
        foreach ((string suffix, double seconds) in Units)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal)
                && double.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
                && TimeSpan.FromSeconds(Math.Min(value * seconds, TimeSpan.SecondsPerDay + 1)) is { } duration
                && duration > TimeSpan.Zero
                && duration <= TimeSpan.FromDays(1))
            {
                return duration;
            }
        }

        throw new FormatException("must be a duration of more than zero and at most a day, such as 50ms, 1.5s or 2m");
    }

    /// <summary>Milliseconds below a second, seconds from there on.</summary>
    public static string Format(TimeSpan duration) => duration < TimeSpan.FromSeconds(1)
        ? string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMilliseconds:0.##}ms")
        : string.Create(CultureInfo.InvariantCulture, $"{duration.TotalSeconds:0.##}s");
}
