using System.Globalization;
using System.Text;

namespace MLFramework.Cpu.Tests;

/// <summary>A vocabulary with texts and the ids that llama.cpp and the original tokenizers give them.</summary>
/// <param name="Name">Name of the vocabulary.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
/// <param name="Lines">The texts and their ids.</param>
internal sealed record TestVocabulary(string Name, Tokenizer Tokenizer, IReadOnlyList<(string Text, int[] Ids)> Lines)
{
    public override string ToString() => Name;
}

/// <summary>
/// llama.cpp's vocabulary tests (MIT license, https://github.com/ggml-org/llama.cpp/tree/master/models). The files beside this one are cut down to
/// what their own texts need: the tokens and merges that occur in them, with their original ids. The whole files are tested too where
/// <c>MLFRAMEWORK_TOKENIZERS</c> names a folder that has them.
/// </summary>
internal static class TestVocabularies
{
    private const string OriginalIds = "test.original_ids", Texts = "test.texts", Ids = "test.ids";
    /// <summary>Stands after every text.</summary>
    private const string Separator = "\n__ggml_vocab_test__\n";

    public static readonly string[] Names = ["llama-spm", "phi-3", "gpt-2", "mpt", "falcon", "starcoder", "refact", "deepseek-coder", "deepseek-llm"];

    /// <summary>The cut-down vocabulary of the repository.</summary>
    public static TestVocabulary Load(string name)
    {
        using GgufFile file = GgufFile.Open(Path.Combine(AppContext.BaseDirectory, "Tokenization", "vocabularies", $"{name}.gguf"));
        int[] original = file.Metadata.FindInt32s(OriginalIds)!;
        Dictionary<int, int> mine = original.Index().ToDictionary(entry => entry.Item, entry => entry.Index);
        return new TestVocabulary(name, Tokenizer.Load(file.Metadata),
            [.. file.Metadata.FindStrings(Texts)!.Zip(file.Metadata.FindStrings(Ids)!,
                (text, ids) => (text, (int[])[.. ParseIds(ids).Select(id => mine[id])]))]);
    }

    /// <summary>The whole vocabulary, or the end of the test where no folder is named.</summary>
    public static TestVocabulary LoadWhole(string name)
    {
        string path = Path.Combine(Folder(), $"ggml-vocab-{name}.gguf");
        using GgufFile file = GgufFile.Open(path);
        return new TestVocabulary(name, Tokenizer.Load(file.Metadata), ReadLines(path));
    }

    /// <summary>Cuts a whole vocabulary down: keeps bytes, special tokens, and whatever occurs in the texts.</summary>
    public static void WriteCutDown(string name, string path)
    {
        string whole = Path.Combine(Folder(), $"ggml-vocab-{name}.gguf");
        using GgufFile file = GgufFile.Open(whole);
        GgufMetadata metadata = file.Metadata;
        IReadOnlyList<(string Text, int[] Ids)> lines = ReadLines(whole);
        bool byteLevel = metadata.GetString("tokenizer.ggml.model") == "gpt2";
        string haystack = string.Join('\0', lines.Select(line => byteLevel
            ? string.Concat(Encoding.UTF8.GetBytes(line.Text).Select(ByteAlphabet.ToChar))
            : '\u2581' + line.Text.Replace(' ', '\u2581')));
        bool Occurs(string text) => haystack.Contains(text, StringComparison.Ordinal);

        string[] tokens = metadata.FindStrings("tokenizer.ggml.tokens")!;
        int[] types = metadata.FindInt32s("tokenizer.ggml.token_type")!;
        int[] kept = [.. Enumerable.Range(0, tokens.Length).Where(id => Occurs(tokens[id]) || tokens[id].Length == 1
            || (types[id] != (int)TokenKind.Normal && !tokens[id].StartsWith("[PAD", StringComparison.Ordinal)))];
        var writer = new GgufWriter();
        foreach ((string key, GgufValue value) in metadata)
        {
            bool isId = key.EndsWith("_token_id", StringComparison.Ordinal), isTokenizer = key.StartsWith("tokenizer.", StringComparison.Ordinal);
            if (key is "general.name" || (isTokenizer && value.Type != GgufValueType.Array && !isId)) writer.Add(key, value);
            if (isId && Array.IndexOf(kept, metadata.GetInt32(key)) is >= 0 and var id) writer.Add(key, id);
        }
        writer.AddArray("tokenizer.ggml.tokens", [.. kept.Select(id => tokens[id])]).AddArray("tokenizer.ggml.token_type", [.. kept.Select(id => types[id])]);
        if (metadata.FindSingles("tokenizer.ggml.scores") is { } scores) writer.AddArray("tokenizer.ggml.scores", [.. kept.Select(id => scores[id])]);
        if (metadata.FindStrings("tokenizer.ggml.merges") is { } merges)
            writer.AddArray("tokenizer.ggml.merges", [.. merges.Where(merge => Occurs(merge.Replace(" ", "", StringComparison.Ordinal)))]);
        writer.AddArray(OriginalIds, kept).AddArray(Texts, [.. lines.Select(line => line.Text)])
            .AddArray(Ids, [.. lines.Select(line => string.Join(' ', line.Ids))]);
        using FileStream stream = File.Create(path);
        writer.Write(stream);
    }

    private static IReadOnlyList<(string Text, int[] Ids)> ReadLines(string path)
    {
        string[] texts = File.ReadAllText(path + ".inp").Split(Separator)[..^1], ids = File.ReadAllText(path + ".out").TrimEnd('\n').Split('\n');
        Assert.That(ids, Has.Length.EqualTo(texts.Length));
        return [.. texts.Zip(ids, (text, line) => (text, ParseIds(line)))];
    }

    private static int[] ParseIds(string line) =>
        [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, CultureInfo.InvariantCulture))];

    private static string Folder()
    {
        string? folder = Environment.GetEnvironmentVariable("MLFRAMEWORK_TOKENIZERS");
        if (folder is null) Assert.Ignore("Set MLFRAMEWORK_TOKENIZERS to a folder of whole vocabularies.");
        return folder!;
    }
}
