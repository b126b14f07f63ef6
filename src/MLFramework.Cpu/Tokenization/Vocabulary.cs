using System.Collections.Immutable;

namespace MLFramework.Cpu;

/// <summary>The tokens of a model: their texts, kinds and scores, and which of them begin and end a text. Immutable.</summary>
public sealed class Vocabulary
{
    private const string Tokens = "tokenizer.ggml.tokens", Types = "tokenizer.ggml.token_type", ScoresKey = "tokenizer.ggml.scores";

    private readonly string[] _texts;
    private readonly TokenKind[] _kinds;
    private readonly float[]? _scores;
    private readonly Dictionary<string, int> _spellable;

    /// <summary>Reads <c>tokenizer.ggml.*</c>.</summary>
    /// <param name="metadata">Metadata of a model.</param>
    /// <param name="defaults">What the family of tokenizers assumes where the file says nothing.</param>
    /// <exception cref="GgufException">The vocabulary is missing or contradicts itself.</exception>
    internal Vocabulary(GgufMetadata metadata, VocabularyDefaults defaults)
    {
        _texts = metadata.FindStrings(Tokens) ?? throw metadata.Error(Tokens, "is missing: the file holds no vocabulary");
        if (_texts.Length == 0) throw metadata.Error(Tokens, "is empty");
        _scores = metadata.FindSingles(ScoresKey);
        if (_scores is not null && _scores.Length != _texts.Length) throw metadata.Error(ScoresKey, $"has {_scores.Length} entries for {_texts.Length} tokens");
        _kinds = ReadKinds(metadata, _texts.Length);

        BosId = ReadId(metadata, "bos", defaults.BosId);
        EosId = ReadId(metadata, "eos", defaults.EosId);
        UnknownId = ReadId(metadata, "unknown", defaults.UnknownId);
        AddBos = ReadFlag(metadata, "tokenizer.ggml.add_bos_token", defaults.AddBos, BosId, "bos");
        AddEos = ReadFlag(metadata, "tokenizer.ggml.add_eos_token", whenMissing: false, EosId, "eos");

        var ends = new SortedSet<int>();
        foreach (int? id in (ReadOnlySpan<int?>)[EosId, ReadId(metadata, "eot", null), ReadId(metadata, "eom", null)])
            if (id is { } end) ends.Add(end);
        for (int id = 0; id < _texts.Length; id++)
        {
            if (ControlTokenTexts.EndsGeneration(_texts[id])) ends.Add(id);
            if (ControlTokenTexts.IsControl(_texts[id])) _kinds[id] = TokenKind.Control;
        }
        EndOfGenerationIds = [.. ends];

        _spellable = new Dictionary<string, int>(_texts.Length, StringComparer.Ordinal);
        for (int id = 0; id < _texts.Length; id++)
        {
            if (_texts[id].Length > 0 && _kinds[id] is not (TokenKind.Control or TokenKind.Unknown or TokenKind.Byte)) _spellable[_texts[id]] = id;
            LongestText = Math.Max(LongestText, _texts[id].Length);
        }
    }

    /// <summary>Number of tokens; ids run from 0 to one less.</summary>
    public int Count => _texts.Length;

    /// <summary>The token in front of a text, if the model has one.</summary>
    public int? BosId { get; }

    /// <summary>The token after a text, if the model has one.</summary>
    public int? EosId { get; }

    /// <summary>The token for what cannot be spelled, if the model has one.</summary>
    public int? UnknownId { get; }

    /// <summary>Whether a prompt starts with <see cref="BosId"/>.</summary>
    public bool AddBos { get; }

    /// <summary>Whether a prompt ends with <see cref="EosId"/>.</summary>
    public bool AddEos { get; }

    /// <summary>Tokens at which generation ends: end of text, of a turn, of a message. Ascending.</summary>
    public ImmutableArray<int> EndOfGenerationIds { get; }

    /// <summary>UTF-16 units of the longest token.</summary>
    internal int LongestText { get; }

    /// <summary>The token as the vocabulary writes it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such id.</exception>
    public string Text(int id) => _texts[Checked(id)];

    /// <summary>The token's kind.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such id.</exception>
    public TokenKind Kind(int id) => _kinds[Checked(id)];

    /// <summary>The token's score; 0 if the vocabulary has none. Higher is merged earlier.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such id.</exception>
    public float Score(int id) => _scores is null ? 0 : _scores[Checked(id)];

    /// <summary>Finds a control token by its text.</summary>
    /// <returns>The id, or null.</returns>
    public int? FindControl(string text) => Array.IndexOf(_texts, text) is >= 0 and var id && _kinds[id] == TokenKind.Control ? id : null;

    /// <summary>Finds the token of a text among those that text may become: never a control, unknown or byte token. Of equal texts the last counts.</summary>
    /// <returns>The id, or −1.</returns>
    internal int FindSpellable(ReadOnlySpan<char> text) =>
        text.Length <= LongestText && _spellable.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text, out int id) ? id : -1;

    private int Checked(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, _texts.Length);
        return id;
    }

    private static TokenKind[] ReadKinds(GgufMetadata metadata, int count)
    {
        var kinds = new TokenKind[count];
        int[]? types = metadata.FindInt32s(Types);
        if (types is null)
        {
            Array.Fill(kinds, TokenKind.Normal);
            return kinds;
        }
        if (types.Length != count) throw metadata.Error(Types, $"has {types.Length} entries for {count} tokens");
        for (int id = 0; id < count; id++)
            kinds[id] = types[id] is >= 0 and <= (int)TokenKind.Byte ? (TokenKind)types[id]
                : throw metadata.Error($"{Types}[{id}]", $"is {types[id]}, which is no token type");
        return kinds;
    }

    /// <summary>Reads an id. Some writers say −1, as a 32-bit number, for none.</summary>
    private int? ReadId(GgufMetadata metadata, string name, int? whenMissing)
    {
        string key = $"tokenizer.ggml.{name}_token_id";
        if (!metadata.TryGet(key, out GgufValue? value)) return whenMissing < Count ? whenMissing : null;
        return value.Content is uint.MaxValue or -1 ? null : metadata.GetInt32(key, 0, Count - 1);
    }

    private static bool ReadFlag(GgufMetadata metadata, string key, bool whenMissing, int? id, string name)
    {
        bool flag = metadata.FindBoolean(key) ?? (whenMissing && id is not null);
        return !flag || id is not null ? flag : throw metadata.Error(key, $"is true, but tokenizer.ggml.{name}_token_id is missing");
    }
}
