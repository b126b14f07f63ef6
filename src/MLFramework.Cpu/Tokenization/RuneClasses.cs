using System.Globalization;
using System.Text;

namespace MLFramework.Cpu;

/// <summary>The Unicode classes that pre-tokenizers tell apart.</summary>
[Flags]
internal enum RuneClass
{
    /// <summary>None of the others: controls, formats, unassigned.</summary>
    Other = 0,

    /// <summary>\p{L}</summary>
    Letter = 1,

    /// <summary>\p{N}</summary>
    Number = 2,

    /// <summary>\s</summary>
    Space = 4,

    /// <summary>\p{P}</summary>
    Punctuation = 8,

    /// <summary>\p{S} and \p{M}</summary>
    SymbolOrMark = 16,
}

/// <summary>Reads characters of UTF-16 text. A lone half of a surrogate pair counts as U+FFFD.</summary>
internal static class RuneClasses
{
    private static readonly RuneClass[] Ascii = [.. Enumerable.Range(0, 128).Select(value => ClassOf(new Rune(value)))];

    /// <summary>The character at a position, and its class.</summary>
    /// <param name="text">The text.</param>
    /// <param name="at">A position inside it.</param>
    /// <param name="rune">The character.</param>
    /// <param name="width">Its UTF-16 units, 1 or 2.</param>
    public static RuneClass Read(ReadOnlySpan<char> text, int at, out Rune rune, out int width)
    {
        if (char.IsAscii(text[at]))
        {
            (rune, width) = (new Rune(text[at]), 1);
            return Ascii[text[at]];
        }
        Rune.DecodeFromUtf16(text[at..], out rune, out width);
        return ClassOf(rune);
    }

    /// <summary>The class of the character at a position; <see cref="RuneClass.Other"/> at the end of the text.</summary>
    public static RuneClass ClassAt(ReadOnlySpan<char> text, int at) => at < text.Length ? Read(text, at, out _, out _) : RuneClass.Other;

    /// <summary>Where the run of characters of some classes ends that starts at a position.</summary>
    public static int EndOfRun(ReadOnlySpan<char> text, int at, RuneClass classes)
    {
        while (at < text.Length && (Read(text, at, out _, out int width) & classes) != 0) at += width;
        return at;
    }

    /// <summary>Where the run of characters of none of some classes ends.</summary>
    public static int EndOfRunWithout(ReadOnlySpan<char> text, int at, RuneClass classes)
    {
        while (at < text.Length && (Read(text, at, out _, out int width) & classes) == 0) at += width;
        return at;
    }

    private static RuneClass ClassOf(Rune rune) => Rune.IsWhiteSpace(rune) ? RuneClass.Space : Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter
            or UnicodeCategory.OtherLetter => RuneClass.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => RuneClass.Number,
        UnicodeCategory.ConnectorPunctuation or UnicodeCategory.DashPunctuation or UnicodeCategory.OpenPunctuation or UnicodeCategory.ClosePunctuation
            or UnicodeCategory.InitialQuotePunctuation or UnicodeCategory.FinalQuotePunctuation or UnicodeCategory.OtherPunctuation => RuneClass.Punctuation,
        UnicodeCategory.MathSymbol or UnicodeCategory.CurrencySymbol or UnicodeCategory.ModifierSymbol or UnicodeCategory.OtherSymbol
            or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => RuneClass.SymbolOrMark,
        _ => RuneClass.Other,
    };
}
