using System.Buffers;
using System.Text;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>
/// Decodes one response token by token. What it returned, joined, is what <see cref="Tokenizer.Decode"/> returns for all tokens. Not thread-safe.
/// </summary>
public sealed class IncrementalDecoder : IIncrementalDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();
    private readonly int? _bosBeforeSpace;
    private bool _first = true, _dropSpace;

    /// <param name="tokenizer">Knows the tokens.</param>
    /// <param name="bosBeforeSpace">The BOS token, if a text after it starts with a space that is not part of it.</param>
    internal IncrementalDecoder(Tokenizer tokenizer, int? bosBeforeSpace) => (_tokenizer, _bosBeforeSpace) = (tokenizer, bosBeforeSpace);

    /// <summary>Takes the next token.</summary>
    /// <param name="tokenId">Id of the vocabulary.</param>
    /// <returns>The text that is now certain; empty while a character is incomplete.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No such id.</exception>
    public string Append(int tokenId)
    {
        ReadOnlySpan<byte> piece = _tokenizer.Piece(tokenId);
        if (_dropSpace && piece is [(byte)' ', ..]) piece = piece[1..];
        _dropSpace = _first && tokenId == _bosBeforeSpace;
        _first = false;
        return Convert(piece, flush: false);
    }

    /// <summary>The response has ended; the decoder can start another.</summary>
    /// <returns>U+FFFD if bytes of an incomplete character were held back, else nothing.</returns>
    public string Flush()
    {
        (_first, _dropSpace) = (true, false);
        return Convert([], flush: true);
    }

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        char[] buffer = ArrayPool<char>.Shared.Rent(Encoding.UTF8.GetMaxCharCount(bytes.Length + 3));
        int length = _utf8.GetChars(bytes, buffer, flush);
        string text = length == 0 ? "" : new string(buffer, 0, length);
        ArrayPool<char>.Shared.Return(buffer);
        return text;
    }
}
