using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>
/// Cuts text into words before byte pair encoding (<c>tokenizer.ggml.pre</c>). A pre-tokenizer is a list of rules: each cuts the pieces that the one
/// before it left, at its matches; what lies between matches stays a piece.
/// </summary>
internal sealed class PreTokenizer
{
    private const string Key = "tokenizer.ggml.pre";
    private const string AsciiSymbols = "$+<=>^~|";

    // Names of models share rules; where a file names none, old converters meant "default".
    private static readonly Dictionary<string, PreTokenizer> Known = Table(
        (["default", ""],
            new(PreTokenizerRules.PunctuationOr(AsciiSymbols), PreTokenizerRules.Gpt2, PreTokenizerRules.Digits, PreTokenizerRules.ThreeAsciiDigits)),
        (["gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling"],
            new(PreTokenizerRules.Gpt2)),
        (["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"],
            new(PreTokenizerRules.Digit, PreTokenizerRules.Gpt2)),
        (["falcon"],
            new(PreTokenizerRules.PunctuationOr(AsciiSymbols + "`"), PreTokenizerRules.Gpt2, PreTokenizerRules.ThreeAsciiDigits)),
        (["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
            new(PreTokenizerRules.Llama3(digits: 3)) { WholeWordsFirst = true, AddsBos = true }),
        (["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
            new(PreTokenizerRules.Llama3(digits: 3))),
        (["qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "grok-2"],
            new(PreTokenizerRules.Llama3(digits: 1))),
        (["deepseek-coder"],
            new(PreTokenizerRules.LineBreak, PreTokenizerRules.SpaceAndLetters, PreTokenizerRules.SpaceAndPunctuation,
                PreTokenizerRules.Run(RuneRanges.DeepSeekIdeographs), PreTokenizerRules.Digit)),
        (["deepseek-llm"],
            new(PreTokenizerRules.LineBreak, PreTokenizerRules.SpaceAnd(RuneRanges.DeepSeekLetters), PreTokenizerRules.SpaceAnd(RuneRanges.DeepSeekPunctuation),
                PreTokenizerRules.TrailingSpaces, PreTokenizerRules.Run(RuneRanges.DeepSeekIdeographs), PreTokenizerRules.Digits)));

    private readonly PreTokenizerRule[] _rules;

    private static string KnownNames => string.Join(", ", Known.Keys.Where(key => key.Length > 0).Order(StringComparer.Ordinal));

    private PreTokenizer(params PreTokenizerRule[] rules) => _rules = rules;

    /// <summary>Whether a word that is a token is taken as it is, without merges.</summary>
    public bool WholeWordsFirst { get; private init; }

    /// <summary>Whether prompts start with BOS if the file does not say.</summary>
    public bool AddsBos { get; private init; }

    /// <summary>Finds the pre-tokenizer that a model declares.</summary>
    /// <exception cref="GgufException">It is none that this engine knows.</exception>
    public static PreTokenizer Load(GgufMetadata metadata)
    {
        string name = metadata.FindString(Key) ?? "";
        return Known.TryGetValue(name, out PreTokenizer? known)
            ? known
            : throw metadata.Error(Key, $"is '{name}', a pre-tokenizer that is not supported; known are {KnownNames}");
    }

    /// <summary>Cuts a text into words, which together are the text.</summary>
    public ReadOnlySpan<(int Start, int Length)> Split(ReadOnlySpan<char> text)
    {
        List<(int Start, int Length)> pieces = text.IsEmpty ? [] : [(0, text.Length)];
        foreach (PreTokenizerRule rule in _rules)
        {
            var cut = new List<(int Start, int Length)>(pieces.Count * 2);
            foreach ((int start, int length) in pieces) Cut(text.Slice(start, length), start, rule, cut);
            pieces = cut;
        }
        return CollectionsMarshal.AsSpan(pieces);
    }

    private static void Cut(ReadOnlySpan<char> piece, int offset, PreTokenizerRule rule, List<(int Start, int Length)> cut)
    {
        int from = 0, at = 0;
        while (at < piece.Length)
        {
            int match = rule(piece, at);
            if (match > 0)
            {
                if (at > from) cut.Add((offset + from, at - from));
                cut.Add((offset + at, match));
                from = at + match;
            }
            at += Math.Abs(match);
        }
        if (from < piece.Length) cut.Add((offset + from, piece.Length - from));
    }

    private static Dictionary<string, PreTokenizer> Table(params ReadOnlySpan<(string[] Names, PreTokenizer PreTokenizer)> rows)
    {
        var table = new Dictionary<string, PreTokenizer>(StringComparer.Ordinal);
        foreach ((string[] names, PreTokenizer preTokenizer) in rows)
            foreach (string name in names) table.Add(name, preTokenizer);
        return table;
    }
}
