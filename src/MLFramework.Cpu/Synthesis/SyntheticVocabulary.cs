namespace MLFramework.Cpu;

/// <summary>
/// A byte-level vocabulary that nobody trained: the bytes, then two, three and four small letters, with and without a space in front, each merged from
/// shorter ones. It spells every text.
/// </summary>
internal static class SyntheticVocabulary
{
    private const string Letters = "abcdefghijklmnopqrstuvwxyz";

    /// <summary>Adds <c>tokenizer.*</c> to a file.</summary>
    /// <exception cref="ArgumentException">The vocabulary is smaller than the bytes and its control tokens, its control tokens lie outside it, or it is larger than there are merges.</exception>
    public static void AddTo(GgufWriter writer, VocabularyShape shape)
    {
        int ordinary = shape.FirstUnused - shape.Controls.Length;
        if (shape.FirstUnused > shape.Size || shape.FirstControl + shape.Controls.Length > shape.FirstUnused || ordinary < 256)
            throw new ArgumentException($"A vocabulary of {shape.Size} has no room for 256 bytes and {shape.Controls.Length} control tokens from {shape.FirstControl}.", nameof(shape));

        var texts = new string[shape.Size];
        var kinds = new int[shape.Size];
        (string Left, string Right)[] merges = [.. Merges().Take(ordinary - 256)];
        if (merges.Length < ordinary - 256) throw new ArgumentException($"A vocabulary has at most {256 + merges.Length} ordinary tokens.", nameof(shape));
        IEnumerable<string> words = Enumerable.Range(0, 256).Select(value => ByteAlphabet.ToChar((byte)value).ToString()).Concat(merges.Select(merge => merge.Left + merge.Right));
        using IEnumerator<string> word = words.GetEnumerator();
        for (int id = 0; id < shape.Size; id++)
        {
            int control = id - shape.FirstControl;
            (texts[id], TokenKind kind) = id >= shape.FirstUnused ? ($"[PAD{id}]", TokenKind.Unused)
                : control >= 0 && control < shape.Controls.Length ? (shape.Controls[control], TokenKind.Control)
                : (word.MoveNext() ? word.Current : throw new InvalidOperationException("The words were counted wrongly."), TokenKind.Normal);
            kinds[id] = (int)kind;
        }

        writer.Add("tokenizer.ggml.model", "gpt2").Add("tokenizer.ggml.pre", shape.PreTokenizer)
            .AddArray("tokenizer.ggml.tokens", texts).AddArray("tokenizer.ggml.token_type", kinds)
            .AddArray("tokenizer.ggml.merges", [.. merges.Select(merge => $"{merge.Left} {merge.Right}")])
            .Add("tokenizer.ggml.bos_token_id", (uint)IdOf(shape, shape.Bos)).Add("tokenizer.ggml.eos_token_id", (uint)IdOf(shape, shape.Eos))
            .Add("tokenizer.ggml.add_bos_token", shape.AddsBos);
    }

    private static int IdOf(VocabularyShape shape, string control) => shape.Controls.IndexOf(control) is >= 0 and var index
        ? shape.FirstControl + index
        : throw new ArgumentException($"'{control}' is none of the control tokens.", nameof(shape));

    /// <summary>Best rank first. Pairs come before what is made of them, and single letters take a space only when no other letter takes them.</summary>
    private static IEnumerable<(string Left, string Right)> Merges()
    {
        string space = ByteAlphabet.ToChar((byte)' ').ToString();
        string[] letters = [.. Letters.Select(letter => letter.ToString())];
        string[] pairs = [.. letters.SelectMany(_ => letters, (a, b) => a + b)];
        string[] triples = [.. pairs.SelectMany(_ => letters, (pair, letter) => pair + letter)];
        return letters.SelectMany(_ => letters, (a, b) => (a, b))
            .Concat(letters.Select(letter => (space, letter)))
            .Concat(pairs.Select(pair => (space, pair)))
            .Concat(pairs.SelectMany(_ => letters, (pair, letter) => (pair, letter)))
            .Concat(triples.Select(triple => (space, triple)))
            .Concat(pairs.SelectMany(_ => pairs, (a, b) => (a, b)));
    }
}
