namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Decodes token by token with a tokenizer that only decodes whole lists: decodes a short window with and without its last tokens and emits the
/// difference, holding back while it ends in an incomplete character.
/// </summary>
/// <remarks>The window is needed because a token's text may depend on the one before it, as a leading space does.</remarks>
internal sealed class WindowedDecoder(ITokenizer tokenizer) : IIncrementalDecoder
{
    private const char Incomplete = '\uFFFD';

    /// <summary>A character has at most four bytes; what is incomplete for longer than this is no character.</summary>
    private const int LongestCharacter = 8;

    private readonly List<int> _window = [];

    /// <summary>Tokens at the start of the window whose text is emitted.</summary>
    private int _emitted;

    public string Append(int tokenId)
    {
        _window.Add(tokenId);
        string text = Unemitted();
        if (text.EndsWith(Incomplete) && _window.Count - _emitted < LongestCharacter)
        {
            return string.Empty;
        }

        // The tokens just emitted stay as context for the next.
        _window.RemoveRange(0, _emitted);
        _emitted = _window.Count;
        return text;
    }

    public string Flush()
    {
        string text = Unemitted();
        _window.Clear();
        _emitted = 0;
        return text;
    }

    private string Unemitted()
    {
        string whole = tokenizer.Decode([.. _window]);
        string before = _emitted == 0 ? string.Empty : tokenizer.Decode([.. _window.GetRange(0, _emitted)]);
        return whole.Length > before.Length ? whole[before.Length..] : string.Empty;
    }
}
