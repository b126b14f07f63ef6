using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>
/// A tokenizer for simulated models, whose text means nothing: it keeps lengths realistic (four characters to a token, a token
/// to a letter) and costs next to nothing. Thread-safe.
/// </summary>
public sealed class SimulatedTokenizer : ITokenizer
{
    /// <summary>Id of the end-of-sequence token; that of Llama 2, and the scheduler's default.</summary>
    public const int EosTokenId = 2;

    /// <summary>Number of token ids; that of Llama 3.</summary>
    public const int VocabularySize = 128_256;

    private const int FirstOrdinaryToken = EosTokenId + 1;
    private const int CharactersPerToken = 4;
    private static readonly string[] Letters = [.. Enumerable.Range('a', 26).Select(c => ((char)c).ToString())];

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="text"/> is null.</exception>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int[] tokens = new int[(text.Length + CharactersPerToken - 1) / CharactersPerToken];
        for (int i = 0; i < tokens.Length; i++)
        {
            ulong word = 0;
            foreach (char c in text.AsSpan(i * CharactersPerToken, Math.Min(CharactersPerToken, text.Length - (i * CharactersPerToken))))
            {
                word = (word << 16) | c;
            }

            tokens[i] = OrdinaryToken(CounterHash.At(0, word));
        }

        return tokens;
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="tokenIds"/> is null.</exception>
    public string Decode(int[] tokenIds)
    {
        ArgumentNullException.ThrowIfNull(tokenIds);
        return string.Concat(tokenIds.Select(Text));
    }

    /// <inheritdoc/>
    public int GetVocabSize() => VocabularySize;

    /// <inheritdoc/>
    public IIncrementalDecoder CreateIncrementalDecoder() => Decoder.Instance;

    /// <summary>Maps a uniform value to a token that is not special.</summary>
    internal static int OrdinaryToken(ulong uniform) =>
        FirstOrdinaryToken + CounterHash.Below(uniform, VocabularySize - FirstOrdinaryToken);

    private static string Text(int tokenId) => tokenId < FirstOrdinaryToken ? string.Empty : Letters[tokenId % Letters.Length];

    /// <summary>One for all: nothing is ever held back.</summary>
    private sealed class Decoder : IIncrementalDecoder
    {
        public static readonly Decoder Instance = new();

        public string Append(int tokenId) => Text(tokenId);

        public string Flush() => string.Empty;
    }
}
