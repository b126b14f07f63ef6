using System.Globalization;
using System.Text;

namespace MLFramework.Cpu;

/// <summary>
/// The byte pair encoding of SentencePiece (<c>tokenizer.ggml.model = llama</c>): spaces become U+2581, the pair whose token scores highest merges first,
/// characters without a token fall back to byte tokens. Id for id as llama.cpp, except that merges never form a control token.
/// </summary>
internal sealed class SentencePieceTokenizer : Tokenizer
{
    private const char Space = '\u2581';

    private static readonly VocabularyDefaults Defaults = new(BosId: 1, EosId: 2, UnknownId: 0, AddBos: true);

    private readonly TokenPieces _pieces;
    private readonly int[] _byteIds;
    private readonly bool _tokensCrossSpaces;

    public SentencePieceTokenizer(GgufMetadata metadata) : base(metadata, Defaults)
    {
        AddsSpacePrefix = metadata.FindBoolean("tokenizer.ggml.add_space_prefix") ?? true;
        _byteIds = new int[256];
        Array.Fill(_byteIds, Vocabulary.UnknownId ?? -1);
        for (int id = 0; id < Vocabulary.Count; id++)
        {
            if (Vocabulary.Kind(id) != TokenKind.Byte) continue;
            if (!TryParseByte(Vocabulary.Text(id), out byte value))
                throw metadata.Error($"tokenizer.ggml.tokens[{id}]", $"is '{Vocabulary.Text(id)}', declared as a byte but not of the form <0x0A>");
            _byteIds[value] = id;
        }
        _tokensCrossSpaces = Enumerable.Range(0, Vocabulary.Count).Any(id => Vocabulary.Text(id).AsSpan().TrimStart(Space).Contains(Space));
        _pieces = new TokenPieces(Vocabulary.Count, AppendPiece);
    }

    private protected override bool AddsSpacePrefix { get; }

    public override ReadOnlySpan<byte> Piece(int id) => _pieces[id];

    private protected override void EncodeText(ReadOnlySpan<char> text, bool afterSpecial, PairMerger merger, List<int> ids)
    {
        string escaped = string.Concat(AddsSpacePrefix && afterSpecial ? "\u2581" : "", text).Replace(' ', Space);
        for (int start = 0, end; start < escaped.Length; start = end)
        {
            end = EndOfWord(escaped, start);
            EncodeWord(escaped.AsSpan(start, end - start), merger, ids);
        }
    }

    /// <summary>Words end before a space, unless tokens of the vocabulary reach across one: then no text can be cut without changing its ids.</summary>
    private int EndOfWord(string text, int start)
    {
        if (_tokensCrossSpaces) return text.Length;
        int at = start;
        while (at < text.Length && text[at] == Space) at++;
        int end = text.IndexOf(Space, at);
        return end < 0 ? text.Length : end;
    }

    private void EncodeWord(ReadOnlySpan<char> word, PairMerger merger, List<int> ids)
    {
        merger.Clear();
        foreach (Rune rune in word.EnumerateRunes()) merger.Add(rune.Utf16SequenceLength, id: -1);
        foreach (MergeSymbol symbol in merger.Merge(new Rules(Vocabulary, word)))
        {
            if (symbol.Length == 0) continue;
            ReadOnlySpan<char> piece = word.Slice(symbol.Start, symbol.Length);
            int id = symbol.Id >= 0 ? symbol.Id : Vocabulary.FindSpellable(piece);
            if (id >= 0) ids.Add(id);
            else AddBytes(piece, ids);
        }
    }

    /// <summary>Spells a character by bytes. Where the vocabulary has neither the byte nor an unknown token, nothing can stand for it.</summary>
    private void AddBytes(ReadOnlySpan<char> character, List<int> ids)
    {
        Rune.DecodeFromUtf16(character, out Rune rune, out _);
        Span<byte> bytes = stackalloc byte[4];
        foreach (byte value in bytes[..rune.EncodeToUtf8(bytes)])
            if (_byteIds[value] >= 0) ids.Add(_byteIds[value]);
    }

    private void AppendPiece(int id, List<byte> bytes)
    {
        string text = Vocabulary.Text(id);
        switch (Vocabulary.Kind(id))
        {
            case TokenKind.Byte when TryParseByte(text, out byte value): bytes.Add(value); break;
            case TokenKind.UserDefined: bytes.AddRange(Encoding.UTF8.GetBytes(text)); break;
            case TokenKind.Normal or TokenKind.Undefined: bytes.AddRange(Encoding.UTF8.GetBytes(text.Replace(Space, ' '))); break;
        }
    }

    /// <summary>Byte tokens are written <c>&lt;0x0A&gt;</c>.</summary>
    private static bool TryParseByte(string text, out byte value)
    {
        value = 0;
        return text is ['<', '0', 'x', _, _, '>'] && byte.TryParse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    /// <summary>Pairs merge if their joined text is a token.</summary>
    private readonly ref struct Rules(Vocabulary vocabulary, ReadOnlySpan<char> text) : IMergeRules
    {
        private readonly ReadOnlySpan<char> _text = text;

        public bool TryMerge(in MergeSymbol left, in MergeSymbol right, out uint rank, out int merged)
        {
            merged = vocabulary.FindSpellable(_text.Slice(left.Start, left.Length + right.Length));
            rank = merged < 0 ? 0 : Descending(vocabulary.Score(merged));
            return merged >= 0;
        }

        /// <summary>Maps floats to integers in the opposite order.</summary>
        private static uint Descending(float score)
        {
            uint bits = BitConverter.SingleToUInt32Bits(score == 0 ? 0 : score);   // −0 equals 0
            uint ascending = bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits;
            return ~ascending;
        }
    }
}
