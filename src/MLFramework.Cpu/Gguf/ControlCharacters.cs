namespace MLFramework.Cpu;

/// <summary>Names and values come from files: their control characters must not reach a terminal or a log.</summary>
internal static class ControlCharacters
{
    /// <summary>Writes line breaks as <c>\n</c> and other control characters as <c>\u001b</c>.</summary>
    public static string Escape(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(c => c == '\n' ? "\\n" : char.IsControl(c) ? $"\\u{(int)c:x4}" : $"{c}")) : text;
}
