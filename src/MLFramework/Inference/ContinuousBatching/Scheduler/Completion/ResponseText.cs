using System.Text;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The text of one response as its tokens come in: decodes, finds stop strings, cuts at the length limit, and hands out what is certain.
/// </summary>
/// <remarks>
/// Fed the same tokens it gives the same text, so a stream that assembles its own text agrees with the result. Not thread-safe.
/// </remarks>
internal sealed class ResponseText
{
    private readonly IIncrementalDecoder _decoder;
    private readonly List<string> _stops;
    private readonly int _maxLength;
    private readonly int _longestStop;
    private readonly StringBuilder _text = new();
    private int _handedOut;
    private bool _ended;

    public ResponseText(ITokenizer tokenizer, List<string> stops, int? maxLength)
    {
        _decoder = tokenizer.CreateIncrementalDecoder() ?? new WindowedDecoder(tokenizer);
        _stops = stops;
        _maxLength = maxLength ?? int.MaxValue;
        foreach (string stop in stops)
        {
            _longestStop = Math.Max(_longestStop, stop.Length);
        }
    }

    /// <summary>Tokens taken so far.</summary>
    public int TokensTaken { get; private set; }

    /// <summary>Whether a stop string appeared; the text ends before it.</summary>
    public bool HasStopString { get; private set; }

    /// <summary>Whether the length limit was met; the text ends there.</summary>
    public bool IsTooLong { get; private set; }

    /// <summary>Takes the next token.</summary>
    public void Take(int tokenId)
    {
        TokensTaken++;
        if (!_ended)
        {
            Append(_decoder.Append(tokenId));
        }
    }

    /// <summary>Text that has become certain since the last call: never part of a stop string that is still incomplete.</summary>
    public string HandOut()
    {
        int certain = _ended ? _text.Length : _text.Length - PossibleStopAtEnd();
        string text = _text.ToString(_handedOut, certain - _handedOut);
        _handedOut = certain;
        return text;
    }

    /// <summary>The response is over: what was held back belongs to it.</summary>
    /// <returns>The whole text.</returns>
    public string Complete()
    {
        if (!_ended)
        {
            Append(_decoder.Flush());
            _ended = true;
        }

        return _text.ToString();
    }

    private void Append(string piece)
    {
        if (piece.Length == 0)
        {
            return;
        }

        int searchFrom = Math.Max(0, _text.Length - _longestStop + 1);
        _text.Append(piece);
        CutAtStopString(searchFrom);
        CutAtMaxLength();
    }

    private void CutAtStopString(int searchFrom)
    {
        if (_stops.Count == 0)
        {
            return;
        }

        string tail = _text.ToString(searchFrom, _text.Length - searchFrom);
        int first = -1;
        foreach (string stop in _stops)
        {
            int at = tail.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (first < 0 || at < first))
            {
                first = at;
            }
        }

        // One that begins beyond the length limit is not in the response.
        if (first >= 0 && searchFrom + first <= _maxLength)
        {
            _text.Length = searchFrom + first;
            HasStopString = _ended = true;
        }
    }

    private void CutAtMaxLength()
    {
        if (_text.Length < _maxLength)
        {
            return;
        }

        int length = _maxLength;
        if (length < _text.Length && char.IsHighSurrogate(_text[length - 1]))
        {
            length--;
        }

        _text.Length = length;
        if (!HasStopString)
        {
            IsTooLong = _ended = true;
        }
    }

    /// <summary>Length of the longest end of the text that begins a stop string.</summary>
    private int PossibleStopAtEnd()
    {
        int most = Math.Min(_longestStop - 1, _text.Length - _handedOut);
        for (int length = most; length > 0; length--)
        {
            string end = _text.ToString(_text.Length - length, length);
            if (_stops.Exists(stop => stop.StartsWith(end, StringComparison.Ordinal)))
            {
                return length;
            }
        }

        return 0;
    }
}
