using System.Text;

namespace MLFramework.Cpu;

/// <summary>
/// GPT-2's printable alphabet for bytes, in which byte-level vocabularies are written: printable Latin-1 characters stand for themselves, the other
/// 68 bytes for U+0100 and up, in order.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] Chars = Build();
    private static readonly Dictionary<char, byte> Bytes = Enumerable.Range(0, 256).ToDictionary(value => Chars[value], value => (byte)value);

    public static char ToChar(byte value) => Chars[value];

    /// <summary>Appends the bytes that a token spells. A character outside the alphabet spells itself.</summary>
    public static void Append(string token, List<byte> bytes)
    {
        Span<byte> utf8 = stackalloc byte[4];
        foreach (Rune rune in token.EnumerateRunes())
        {
            if (rune.IsBmp && Bytes.TryGetValue((char)rune.Value, out byte value)) bytes.Add(value);
            else bytes.AddRange(utf8[..rune.EncodeToUtf8(utf8)]);
        }
    }

    private static char[] Build()
    {
        var chars = new char[256];
        char next = '\u0100';
        for (int value = 0; value < 256; value++)
            chars[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)value : next++;
        return chars;
    }
}
