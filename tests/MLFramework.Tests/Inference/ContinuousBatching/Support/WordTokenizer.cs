using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

/// <summary>
/// One token per character below 1,000 and, above, a few whole words: enough to see text come and go. Id 2 is the end of a sequence and has
/// no text.
/// </summary>
internal sealed class WordTokenizer : ITokenizer
{
    public const int Eos = 2;
    public const int VocabularySize = 1100;
    private static readonly string[] s_words = [" Paris", " blue", ".", " the", " of", "STOP"];

    public static int Word(string text) => 1000 + Array.IndexOf(s_words, text);

    public int[] Encode(string text) => [.. text.Select(c => c < 1000 ? c : '?')];

    public string Decode(int[] tokenIds) => string.Concat(tokenIds.Select(TextOf));

    public int GetVocabSize() => VocabularySize;

    private static string TextOf(int id) => id switch
    {
        Eos => string.Empty,
        >= 1000 => id - 1000 < s_words.Length ? s_words[id - 1000] : "_",
        _ => ((char)id).ToString(),
    };
}
