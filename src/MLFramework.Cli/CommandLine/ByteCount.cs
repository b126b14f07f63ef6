using System.Globalization;

namespace MLFramework.Cli;

/// <summary>Bytes as people read them.</summary>
internal static class ByteCount
{
    /// <summary>Decimal units, as for files: <c>144.1 MB</c>.</summary>
    public static string Format(long bytes)
    {
        (double unit, string name) = bytes switch
        {
            >= 1_000_000_000 => (1e9, "GB"),
            >= 1_000_000 => (1e6, "MB"),
            >= 1_000 => (1e3, "kB"),
            _ => (1, "bytes"),
        };
        return string.Create(CultureInfo.InvariantCulture, $"{bytes / unit:0.##} {name}");
    }
}
