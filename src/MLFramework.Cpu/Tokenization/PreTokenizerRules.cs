using System.Text;

namespace MLFramework.Cpu;

/// <summary>One regular expression of a pre-tokenizer, written out by hand so that it takes linear time and knows characters beyond U+FFFF.</summary>
/// <param name="text">The text.</param>
/// <param name="at">Where to match.</param>
/// <returns>Length of the match, or minus the number of units (at least 1) at which no match starts.</returns>
internal delegate int PreTokenizerRule(ReadOnlySpan<char> text, int at);

/// <summary>The rules that the pre-tokenizers are made of. Alternatives are tried in the order of the expression, and repetitions take all they can.</summary>
internal static class PreTokenizerRules
{
    private const RuneClass WordOrSpace = RuneClass.Letter | RuneClass.Number | RuneClass.Space;

    /// <summary>GPT-2: <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c></summary>
    public static int Gpt2(ReadOnlySpan<char> text, int at)
    {
        if (Contraction(text, at, ignoreCase: false) is > 0 and var contraction) return contraction;
        int word = text[at] == ' ' && at + 1 < text.Length ? at + 1 : at;
        int end = RuneClasses.ClassAt(text, word) switch
        {
            RuneClass.Letter => RuneClasses.EndOfRun(text, word, RuneClass.Letter),
            RuneClass.Number => RuneClasses.EndOfRun(text, word, RuneClass.Number),
            RuneClass.Space => EndOfSpaces(text, at),
            _ => RuneClasses.EndOfRunWithout(text, word, WordOrSpace),
        };
        return end - at;
    }

    /// <summary>
    /// Llama 3 (three digits), Qwen 2 (one):
    /// <c>(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>
    /// </summary>
    /// <param name="digits">Most digits of a number.</param>
    public static PreTokenizerRule Llama3(int digits) => (text, at) =>
    {
        if (Contraction(text, at, ignoreCase: true) is > 0 and var contraction) return contraction;
        RuneClass first = RuneClasses.Read(text, at, out Rune rune, out int width);
        if (first == RuneClass.Letter) return RuneClasses.EndOfRun(text, at, RuneClass.Letter) - at;
        if (first == RuneClass.Number)
        {
            int end = at;
            for (int count = 0; count < digits && RuneClasses.ClassAt(text, end) == RuneClass.Number; count++)
            {
                RuneClasses.Read(text, end, out _, out width);
                end += width;
            }
            return end - at;
        }
        if (rune.Value is not ('\r' or '\n') && RuneClasses.ClassAt(text, at + width) == RuneClass.Letter)
            return RuneClasses.EndOfRun(text, at + width, RuneClass.Letter) - at;
        int marks = rune.Value == ' ' ? at + 1 : at;
        if (marks < text.Length && (RuneClasses.ClassAt(text, marks) & WordOrSpace) == 0)
        {
            int end = RuneClasses.EndOfRunWithout(text, marks, WordOrSpace);
            while (end < text.Length && text[end] is '\r' or '\n') end++;
            return end - at;
        }
        int spaces = RuneClasses.EndOfRun(text, at, RuneClass.Space);
        int line = text[at..spaces].LastIndexOfAny('\r', '\n');
        return line >= 0 ? line + 1 : EndOfSpaces(text, at) - at;
    };

    /// <summary><c>\p{N}</c></summary>
    public static int Digit(ReadOnlySpan<char> text, int at) => RuneClasses.Read(text, at, out _, out int width) == RuneClass.Number ? width : -width;

    /// <summary><c>\p{N}+</c></summary>
    public static int Digits(ReadOnlySpan<char> text, int at) => Run(text, at, RuneClass.Number);

    /// <summary><c>[0-9][0-9][0-9]</c></summary>
    public static int ThreeAsciiDigits(ReadOnlySpan<char> text, int at) =>
        at + 3 <= text.Length && char.IsAsciiDigit(text[at]) && char.IsAsciiDigit(text[at + 1]) && char.IsAsciiDigit(text[at + 2]) ? 3 : -1;

    /// <summary><c>[\r\n]</c></summary>
    public static int LineBreak(ReadOnlySpan<char> text, int at) => text[at] is '\r' or '\n' ? 1 : -1;

    /// <summary><c>\s?\p{L}+</c></summary>
    public static int SpaceAndLetters(ReadOnlySpan<char> text, int at) => AfterSpace(text, at, RuneClass.Letter);

    /// <summary><c>\s?\p{P}+</c></summary>
    public static int SpaceAndPunctuation(ReadOnlySpan<char> text, int at) => AfterSpace(text, at, RuneClass.Punctuation);

    /// <summary><c>[\p{P}…]+</c></summary>
    /// <param name="others">ASCII characters that count as punctuation too.</param>
    public static PreTokenizerRule PunctuationOr(string others) => (text, at) =>
    {
        int end = at, width;
        while (end < text.Length && (RuneClasses.Read(text, end, out _, out width) == RuneClass.Punctuation || others.Contains(text[end]))) end += width;
        return end > at ? end - at : -1;
    };

    /// <summary><c>\s?[…]+</c>, for a set without white space.</summary>
    public static PreTokenizerRule SpaceAnd(RuneRanges set) => (text, at) =>
    {
        int start = at + (RuneClasses.ClassAt(text, at) == RuneClass.Space ? 1 : 0), end = set.EndOfRun(text, start);
        return end > start ? end - at : -1;
    };

    /// <summary><c>[…]+</c></summary>
    public static PreTokenizerRule Run(RuneRanges set) => (text, at) => set.EndOfRun(text, at) is var end && end > at ? end - at : -1;

    /// <summary><c>\s+$</c></summary>
    public static int TrailingSpaces(ReadOnlySpan<char> text, int at)
    {
        int end = RuneClasses.EndOfRun(text, at, RuneClass.Space);
        return end == at ? -1 : end == text.Length ? end - at : at - end;
    }

    /// <summary><c>\s+(?!\S)|\s+</c>: white space before a word leaves one character to the word, if it has more than one.</summary>
    private static int EndOfSpaces(ReadOnlySpan<char> text, int at)
    {
        int end = RuneClasses.EndOfRun(text, at, RuneClass.Space);
        return end < text.Length && end - at > 1 ? end - 1 : end;
    }

    private static int Run(ReadOnlySpan<char> text, int at, RuneClass classes) =>
        RuneClasses.EndOfRun(text, at, classes) is var end && end > at ? end - at : -1;

    private static int AfterSpace(ReadOnlySpan<char> text, int at, RuneClass classes)
    {
        int start = at + (RuneClasses.ClassAt(text, at) == RuneClass.Space ? 1 : 0), end = RuneClasses.EndOfRun(text, start, classes);
        return end > start ? end - at : -1;
    }

    /// <summary><c>'s|'t|'re|'ve|'m|'ll|'d</c></summary>
    private static int Contraction(ReadOnlySpan<char> text, int at, bool ignoreCase)
    {
        if (text[at] != '\'' || at + 1 == text.Length) return 0;
        int fold = ignoreCase ? 0x20 : 0;
        int first = text[at + 1] | fold, second = at + 2 < text.Length ? text[at + 2] | fold : 0;
        if (first is 's' or 't' or 'm' or 'd') return 2;
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }
}
