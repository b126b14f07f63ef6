using System.Globalization;

namespace MLFramework.Cpu;

/// <summary>Reads what Linux says about the machine and the process in <c>/proc</c> and <c>/sys</c>.</summary>
/// <param name="root">Where they are; tests have their own.</param>
internal sealed class HostFiles(string root)
{
    /// <summary>A file's text, or null where it is missing or may not be read.</summary>
    public string? Read(string path)
    {
        try
        {
            return File.ReadAllText(Path.Combine(root, path.TrimStart('/')));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>A file that holds one number; null where it is missing or holds something else, such as "max".</summary>
    public long? ReadNumber(string path) => Parse(Read(path));

    /// <summary>The first number after a key at the start of a line, as in <c>MemAvailable:  123 kB</c>; null if there is none.</summary>
    public long? ReadField(string path, string key)
    {
        foreach (string line in Lines(path))
        {
            string[] words = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 1 && words[0] == key) return Parse(words[1]);
        }
        return null;
    }

    /// <summary>A file's lines; none where it is missing.</summary>
    public IEnumerable<string> Lines(string path) => Read(path)?.Split('\n', StringSplitOptions.RemoveEmptyEntries) ?? [];

    private static long? Parse(string? text) => long.TryParse(text, NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out long number) ? number : null;
}
