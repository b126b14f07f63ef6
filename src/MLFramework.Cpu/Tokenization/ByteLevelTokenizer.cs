using System.Text;

namespace MLFramework.Cpu;

/// <summary>
/// The byte-level byte pair encoding of GPT-2 and its descendants (<c>tokenizer.ggml.model = gpt2</c>): a pre-tokenizer cuts the text into words
/// (<c>tokenizer.ggml.pre</c>), their UTF-8 bytes are merged pair by pair in the order of the vocabulary's merges. Id for id as llama.cpp.
/// </summary>
internal sealed class ByteLevelTokenizer : Tokenizer
{
    private const string MergesKey = "tokenizer.ggml.merges";

    private readonly TokenPieces _pieces;
    private readonly PreTokenizer _preTokenizer;
    private readonly int[] _byteSymbols = new int[256];
    private readonly Dictionary<long, (uint Rank, int Merged)> _merges;

    public ByteLevelTokenizer(GgufMetadata metadata) : this(metadata, PreTokenizer.Load(metadata))
    {
    }

    private ByteLevelTokenizer(GgufMetadata metadata, PreTokenizer preTokenizer)
        : base(metadata, new VocabularyDefaults(BosId: null, EosId: null, UnknownId: null, preTokenizer.AddsBos))
    {
        _preTokenizer = preTokenizer;
        _merges = ReadMerges(metadata);
        _pieces = new TokenPieces(Vocabulary.Count, AppendPiece);
    }

    public override ReadOnlySpan<byte> Piece(int id) => _pieces[id];

    private protected override void EncodeText(ReadOnlySpan<char> text, bool afterSpecial, PairMerger merger, List<int> ids)
    {
        byte[] bytes = [];
        foreach ((int start, int length) in _preTokenizer.Split(text))
        {
            ReadOnlySpan<char> word = text.Slice(start, length);
            int needed = Encoding.UTF8.GetMaxByteCount(length);
            if (bytes.Length < needed) bytes = new byte[needed];
            ReadOnlySpan<byte> utf8 = bytes.AsSpan(0, Encoding.UTF8.GetBytes(word, bytes));
            if (_preTokenizer.WholeWordsFirst && FindWord(utf8) is >= 0 and var whole) ids.Add(whole);
            else EncodeWord(utf8, merger, ids);
        }
    }

    private void EncodeWord(ReadOnlySpan<byte> word, PairMerger merger, List<int> ids)
    {
        merger.Clear();
        foreach (byte value in word) merger.Add(1, _byteSymbols[value]);
        foreach (MergeSymbol symbol in merger.Merge(new Rules(_merges)))
        {
            if (symbol.Length == 0) continue;
            if (symbol.Id < Vocabulary.Count) ids.Add(symbol.Id);
            else foreach (byte value in word.Slice(symbol.Start, symbol.Length)) AddByte(value, ids);
        }
    }

    /// <summary>
    /// Some vocabularies lack bytes, mostly those that UTF-8 never uses. What cannot be spelled is unknown; without an unknown token nothing can stand for
    /// it.
    /// </summary>
    private void AddByte(byte value, List<int> ids)
    {
        int id = _byteSymbols[value] < Vocabulary.Count ? _byteSymbols[value] : Vocabulary.UnknownId ?? -1;
        if (id >= 0) ids.Add(id);
    }

    private int FindWord(ReadOnlySpan<byte> word)
    {
        if (word.Length > Vocabulary.LongestText) return -1;
        Span<char> text = word.Length <= 256 ? stackalloc char[word.Length] : new char[word.Length];
        for (int i = 0; i < word.Length; i++) text[i] = ByteAlphabet.ToChar(word[i]);
        return Vocabulary.FindSpellable(text);
    }

    /// <summary>
    /// Reads "left right" lines, best rank first. A merge may make a piece that is no token; such pieces, and bytes without a token, get numbers beyond the
    /// vocabulary.
    /// </summary>
    private Dictionary<long, (uint Rank, int Merged)> ReadMerges(GgufMetadata metadata)
    {
        string[] lines = metadata.FindStrings(MergesKey) ?? throw metadata.Error(MergesKey, "is missing");
        var merges = new Dictionary<long, (uint, int)>(lines.Length);
        var outside = new Dictionary<string, int>(StringComparer.Ordinal);
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> outsideLookup = outside.GetAlternateLookup<ReadOnlySpan<char>>();
        int Symbol(ReadOnlySpan<char> text)
        {
            int id = Vocabulary.FindSpellable(text);
            if (id >= 0 || outsideLookup.TryGetValue(text, out id)) return id;
            outsideLookup[text] = Vocabulary.Count + outside.Count;
            return Vocabulary.Count + outside.Count - 1;
        }
        for (int value = 0; value < 256; value++) _byteSymbols[value] = Symbol([ByteAlphabet.ToChar((byte)value)]);
        for (int rank = 0; rank < lines.Length; rank++)
        {
            int space = lines[rank].Length > 1 ? lines[rank].IndexOf(' ', 1) : -1;
            if (space < 0 || space == lines[rank].Length - 1)
                throw metadata.Error($"{MergesKey}[{rank}]", $"is '{lines[rank]}', not two pieces with a space between");
            ReadOnlySpan<char> left = lines[rank].AsSpan(0, space), right = lines[rank].AsSpan(space + 1);
            merges.TryAdd(Rules.Key(Symbol(left), Symbol(right)), ((uint)rank, Symbol(string.Concat(left, right))));
        }
        return merges;
    }

    private void AppendPiece(int id, List<byte> bytes)
    {
        string text = Vocabulary.Text(id);
        switch (Vocabulary.Kind(id))
        {
            case TokenKind.UserDefined: bytes.AddRange(Encoding.UTF8.GetBytes(text)); break;
            case TokenKind.Normal or TokenKind.Undefined or TokenKind.Byte: ByteAlphabet.Append(text, bytes); break;
        }
    }

    /// <summary>Pairs merge if the vocabulary lists them.</summary>
    private readonly struct Rules(Dictionary<long, (uint Rank, int Merged)> merges) : IMergeRules
    {
        /// <summary>Both ids, spread by an odd factor: <see cref="long.GetHashCode"/> would xor them, and ids of neighbours are often alike.</summary>
        public static long Key(int left, int right) => unchecked(((long)left << 32 | (uint)right) * (long)0x9E37_79B9_7F4A_7C15);

        public bool TryMerge(in MergeSymbol left, in MergeSymbol right, out uint rank, out int merged)
        {
            bool found = merges.TryGetValue(Key(left.Id, right.Id), out (uint Rank, int Merged) merge);
            (rank, merged) = merge;
            return found;
        }
    }
}
