using System.Buffers;

namespace MLFramework.Cpu;

/// <summary>A piece of a prompt: raw text, or a token that was found in it.</summary>
/// <param name="Start">First UTF-16 unit.</param>
/// <param name="Length">UTF-16 units.</param>
/// <param name="TokenId">The token, or −1 for raw text.</param>
internal readonly record struct PromptFragment(int Start, int Length, int TokenId)
{
    public bool IsText => TokenId < 0;
}

/// <summary>
/// Finds whole-word tokens in a prompt before anything else looks at it: user-defined ones everywhere, control and unknown ones only inside segments that
/// are trusted to hold them. Longer tokens win over shorter ones wherever they stand, as in llama.cpp. One pass per distinct length: linear in the text.
/// </summary>
internal sealed class SpecialTokenScanner
{
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _ids;
    private readonly (int Length, SearchValues<char> Firsts)[] _lengths;
    private readonly Vocabulary _vocabulary;
    private readonly Func<int, bool> _stripsRight;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="stripsRight">Whether white space after a token belongs to it.</param>
    public SpecialTokenScanner(Vocabulary vocabulary, Func<int, bool> stripsRight)
    {
        (_vocabulary, _stripsRight) = (vocabulary, stripsRight);
        int[] special = [.. Enumerable.Range(0, vocabulary.Count)
            .Where(id => vocabulary.Kind(id) is TokenKind.Control or TokenKind.Unknown or TokenKind.UserDefined && vocabulary.Text(id).Length > 0)];
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (int id in special) ids[vocabulary.Text(id)] = id;
        _ids = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _lengths = [.. ids.Keys.GroupBy(text => text.Length).OrderByDescending(group => group.Key)
            .Select(group => (group.Key, SearchValues.Create([.. group.Select(text => text[0]).Distinct()])))];
    }

    /// <summary>Splits a prompt.</summary>
    /// <param name="prompt">All segments, one after the other.</param>
    /// <param name="segments">Where they end in it, ascending, and whether each is trusted.</param>
    public List<PromptFragment> Split(ReadOnlySpan<char> prompt, ReadOnlySpan<(int End, bool Trusted)> segments)
    {
        List<PromptFragment> fragments = prompt.IsEmpty ? [] : [new(0, prompt.Length, -1)];
        foreach ((int length, SearchValues<char> firsts) in _lengths)
        {
            if (prompt.Length < length) continue;
            List<PromptFragment>? split = null;
            for (int i = 0; i < fragments.Count; i++)
            {
                PromptFragment fragment = fragments[i];
                if (fragment.IsText && Split(prompt, fragment, length, firsts, segments) is { } parts)
                    (split ??= [.. fragments.Take(i)]).AddRange(parts);
                else
                    split?.Add(fragment);
            }
            fragments = split ?? fragments;
        }
        return fragments;
    }

    /// <summary>Splits one text by the tokens of one length; null if it holds none.</summary>
    private List<PromptFragment>? Split(ReadOnlySpan<char> prompt, PromptFragment text, int length, SearchValues<char> firsts,
        ReadOnlySpan<(int End, bool Trusted)> segments)
    {
        List<PromptFragment>? parts = null;
        int end = text.Start + text.Length, from = text.Start, at = text.Start;
        while (at + length <= end)
        {
            int next = prompt[at..(end - length + 1)].IndexOfAny(firsts);
            if (next < 0) break;
            at += next;
            if (!_ids.TryGetValue(prompt.Slice(at, length), out int id) || !IsAllowed(id, at, length, segments))
            {
                at++;
                continue;
            }
            parts ??= [];
            if (at > from) parts.Add(new(from, at - from, -1));
            parts.Add(new(at, length, id));
            at += length;
            if (_stripsRight(id))
                while (at < end && prompt[at] is ' ' or (>= '\t' and <= '\r')) at++;
            from = at;
        }
        if (parts is not null && from < end) parts.Add(new(from, end - from, -1));
        return parts;
    }

    private bool IsAllowed(int id, int start, int length, ReadOnlySpan<(int End, bool Trusted)> segments)
    {
        if (_vocabulary.Kind(id) == TokenKind.UserDefined) return true;
        int first = 0;
        for (int above = segments.Length - 1; first < above;)   // the first segment that ends beyond the start
        {
            int middle = (first + above) / 2;
            (first, above) = segments[middle].End > start ? (first, middle) : (middle + 1, above);
        }
        return segments[first].Trusted && start + length <= segments[first].End;
    }
}
