using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace MLFramework.Compare;

/// <summary>What llama.cpp says: kept instead of printed, since it is where it reports what it really does.</summary>
internal static unsafe class PeerLog
{
    private static readonly StringBuilder s_text = new();

    /// <summary>Everything said since the last <see cref="Clear"/>.</summary>
    public static string Text
    {
        get
        {
            lock (s_text) return s_text.ToString();
        }
    }

    /// <summary>Forgets what was said.</summary>
    public static void Clear()
    {
        lock (s_text) s_text.Clear();
    }

    /// <summary>The rest of the last line with a label; null if nothing was said of it.</summary>
    public static string? Find(string label) => Find(Text, label);

    /// <summary>The rest of the last line with a label, without the blanks and the equals sign that align a column.</summary>
    internal static string? Find(string text, string label)
    {
        int at = text.LastIndexOf(label, StringComparison.Ordinal);
        if (at < 0) return null;
        int start = at + label.Length, end = text.IndexOf('\n', start);
        return text[start..(end < 0 ? text.Length : end)].TrimStart(' ', '=').TrimEnd();
    }

    /// <summary>llama.cpp's log callback.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static void Receive(int level, byte* text, void* userData)
    {
        lock (s_text) s_text.Append(Marshal.PtrToStringUTF8((nint)text));
    }
}
