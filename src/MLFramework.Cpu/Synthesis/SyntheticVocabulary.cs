namespace MLFramework.Cpu;

/// <summary>
/// A vocabulary that nobody trained: the bytes, then one, two, three and four small letters, with and without a space in front, each merged from shorter
/// ones. It spells every text.
/// </summary>
internal static class SyntheticVocabulary
{
    private const int Bytes = 256;

    private const string SentencePieceSpace = "\u2581";

    private static readonly string[] Letters = [.. "abcdefghijklmnopqrstuvwxyz".Select(letter => $"{letter}")];

    /// <summary>Adds <c>tokenizer.*</c> to a file.</summary>
    /// <exception cref="ArgumentException">
    /// The vocabulary is smaller than the bytes and its special tokens, these lie outside it or on each other, or it is larger than there are merges.
    /// </exception>
    public static void AddTo(GgufWriter writer, VocabularyShape shape)
    {
        Dictionary<int, SpecialToken> specials = CheckedSpecials(shape);
        bool isByteLevel = shape.Family == "gpt2";
        int ordinary = shape.FirstUnused - specials.Keys.Count(id => id < shape.FirstUnused);
        (string Text, TokenKind Kind)[] first = [.. isByteLevel ? ByteLevelSymbols() : SentencePieceSymbols()];
        if (ordinary < first.Length) throw new ArgumentException($"A vocabulary of {shape.Size} has no room for {first.Length} symbols and {specials.Count} special tokens.", nameof(shape));
        (string Left, string Right)[] merges = [.. Merges(isByteLevel ? $"{ByteAlphabet.ToChar((byte)' ')}" : SentencePieceSpace).Take(ordinary - first.Length)];
        if (merges.Length < ordinary - first.Length) throw new ArgumentException($"A vocabulary has at most {first.Length + merges.Length} ordinary tokens.", nameof(shape));

        var texts = new string[shape.Size];
        var kinds = new int[shape.Size];
        int next = 0;
        for (int id = 0; id < shape.Size; id++)
        {
            TokenKind kind;
            if (specials.TryGetValue(id, out SpecialToken special)) (texts[id], kind) = (special.Text, special.Kind);
            else if (id >= shape.FirstUnused) (texts[id], kind) = ($"[PAD{id}]", TokenKind.Unused);
            else if (next < first.Length) (texts[id], kind) = first[next++];
            else (texts[id], kind) = (merges[next - first.Length].Left + merges[next++ - first.Length].Right, TokenKind.Normal);
            kinds[id] = (int)kind;
        }

        writer.Add("tokenizer.ggml.model", shape.Family).Add("tokenizer.ggml.pre", shape.PreTokenizer)
            .AddArray("tokenizer.ggml.tokens", texts).AddArray("tokenizer.ggml.token_type", kinds)
            .Add("tokenizer.ggml.bos_token_id", (uint)IdOf(shape, shape.Bos)).Add("tokenizer.ggml.eos_token_id", (uint)IdOf(shape, shape.Eos))
            .Add("tokenizer.ggml.add_bos_token", shape.AddsBos);
        if (isByteLevel)
        {
            writer.AddArray("tokenizer.ggml.merges", [.. merges.Select(merge => $"{merge.Left} {merge.Right}")]);
            return;
        }
        // Merges go by score: what comes first merges first.
        writer.AddArray("tokenizer.ggml.scores", [.. Enumerable.Range(0, shape.Size).Select(id => (float)-id)]).Add("tokenizer.ggml.add_space_prefix", shape.AddsSpacePrefix);
        if (specials.Values.FirstOrDefault(special => special.Kind == TokenKind.Unknown) is { Text: not null } unknown) writer.Add("tokenizer.ggml.unknown_token_id", (uint)unknown.Id);
    }

    private static Dictionary<int, SpecialToken> CheckedSpecials(VocabularyShape shape)
    {
        if (shape.FirstUnused > shape.Size) throw new ArgumentException($"The first unused id, {shape.FirstUnused}, is outside a vocabulary of {shape.Size}.", nameof(shape));
        var specials = new Dictionary<int, SpecialToken>();
        foreach (SpecialToken special in shape.Specials)
            if (special.Id < 0 || special.Id >= shape.Size || !specials.TryAdd(special.Id, special))
                throw new ArgumentException($"'{special.Text}' cannot have the id {special.Id}: it is another's, or outside a vocabulary of {shape.Size}.", nameof(shape));
        return specials;
    }

    private static int IdOf(VocabularyShape shape, string text)
    {
        foreach (SpecialToken special in shape.Specials)
            if (special.Text == text) return special.Id;
        throw new ArgumentException($"'{text}' is none of the special tokens.", nameof(shape));
    }

    private static IEnumerable<(string, TokenKind)> ByteLevelSymbols() => Enumerable.Range(0, Bytes).Select(value => ($"{ByteAlphabet.ToChar((byte)value)}", TokenKind.Normal));

    private static IEnumerable<(string, TokenKind)> SentencePieceSymbols() =>
        [.. Enumerable.Range(0, Bytes).Select(value => ($"<0x{value:X2}>", TokenKind.Byte)), (SentencePieceSpace, TokenKind.Normal), .. Letters.Select(letter => (letter, TokenKind.Normal))];

    /// <summary>Best rank first. Pairs come before what is made of them, and single letters take a space only when no other letter takes them.</summary>
    private static IEnumerable<(string Left, string Right)> Merges(string space)
    {
        string[] pairs = [.. Letters.SelectMany(_ => Letters, (a, b) => a + b)];
        string[] triples = [.. pairs.SelectMany(_ => Letters, (pair, letter) => pair + letter)];
        return Letters.SelectMany(_ => Letters, (a, b) => (a, b))
            .Concat(Letters.Select(letter => (space, letter)))
            .Concat(pairs.Select(pair => (space, pair)))
            .Concat(pairs.SelectMany(_ => Letters, (pair, letter) => (pair, letter)))
            .Concat(triples.Select(triple => (space, triple)))
            .Concat(pairs.SelectMany(_ => pairs, (a, b) => (a, b)));
    }
}
