using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace MLFramework.DemoModel;

/// <summary>
/// Byte-level BPE with GPT-2's pre-tokenizer (llama.cpp: tokenizer.ggml.model = gpt2, pre = gpt-2).
/// Ids: the three special tokens, the 256 bytes, then one token per merge in the order of their ranks.
/// </summary>
internal sealed partial class BpeTokenizer
{
    public const string EndOfText = "<|endoftext|>", ImStart = "<|im_start|>", ImEnd = "<|im_end|>";
    public const int EndOfTextId = 0, ImStartId = 1, ImEndId = 2;
    public static readonly string[] Specials = [EndOfText, ImStart, ImEnd];

    private readonly List<byte[]> _pieces = [];                                   // id -> bytes
    private readonly List<(int Left, int Right)> _merges = [];
    private readonly Dictionary<(int Left, int Right), int> _ranks = [];         // pair -> id of the merged token
    private readonly Dictionary<string, int[]> _cache = [];

    private BpeTokenizer(IEnumerable<(int Left, int Right)> _merges)
    {
        _pieces.AddRange(Specials.Select(Encoding.UTF8.GetBytes));
        for (int b = 0; b < 256; b++) _pieces.Add([(byte)b]);
        foreach ((int, int) pair in _merges) AddMerge(pair);
    }

    public int VocabularySize => _pieces.Count;

    /// <summary>Tokens as GPT-2 writes them, every byte a printable character.</summary>
    public IEnumerable<string> Tokens => Specials.Concat(_pieces.Skip(Specials.Length).Select(Printable));

    public IEnumerable<string> Merges => _merges.Select(m => Printable(_pieces[m.Left]) + " " + Printable(_pieces[m.Right]));

    private int AddMerge((int Left, int Right) pair)
    {
        _ranks[pair] = _pieces.Count;
        _merges.Add(pair);
        _pieces.Add([.. _pieces[pair.Left], .. _pieces[pair.Right]]);
        return _pieces.Count - 1;
    }

    /// <summary>Learns merges: again and again the most frequent pair; ties go to the lower ids.</summary>
    public static BpeTokenizer Train(IEnumerable<string> documents, int vocabulary)
    {
        var counts = new Dictionary<string, int>();
        foreach (string document in documents)
            foreach (string part in SpecialPattern().Split(document))
                if (!Specials.Contains(part))
                    foreach (ValueMatch word in WordPattern().EnumerateMatches(part))
                        CollectionsMarshal.GetValueRefOrAddDefault(counts, part.Substring(word.Index, word.Length), out _)++;

        // Numbers up to one hundred get tokens of their own, with and without a space: arithmetic is easier that way.
        for (int n = 10; n <= 100; n++) counts[$"{n}"] = counts[$" {n}"] = 10_000;

        var tokenizer = new BpeTokenizer([]);
        (List<int> Ids, int Count)[] words =
            [.. counts.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => (Bytes(c.Key).ToList(), c.Value))];
        while (tokenizer.VocabularySize < vocabulary)
        {
            var pairs = new Dictionary<(int Left, int Right), long>();
            foreach ((List<int> ids, int count) in words)
                for (int i = 0; i + 1 < ids.Count; i++)
                    CollectionsMarshal.GetValueRefOrAddDefault(pairs, (ids[i], ids[i + 1]), out _) += count;
            if (pairs.Count == 0) throw new InvalidOperationException("The corpus is too small for this vocabulary.");
            (int Left, int Right) best = pairs.MaxBy(p => (p.Value, -p.Key.Left, -p.Key.Right)).Key;
            int merged = tokenizer.AddMerge(best);
            foreach ((List<int> ids, _) in words) Merge(ids, best, merged);
        }
        return tokenizer;
    }

    public int[] Encode(string text)
    {
        List<int> ids = [];
        foreach (string part in SpecialPattern().Split(text))
        {
            int special = Array.IndexOf(Specials, part);
            if (special >= 0) { ids.Add(special); continue; }
            foreach (ValueMatch word in WordPattern().EnumerateMatches(part))
                ids.AddRange(EncodeWord(part.Substring(word.Index, word.Length)));
        }
        return [.. ids];
    }

    private int[] EncodeWord(string word)
    {
        if (_cache.TryGetValue(word, out int[]? known)) return known;
        List<int> ids = [.. Bytes(word)];
        while (true)
        {
            int best = int.MaxValue;
            for (int i = 0; i + 1 < ids.Count; i++)
                if (_ranks.TryGetValue((ids[i], ids[i + 1]), out int id) && id < best) best = id;
            if (best == int.MaxValue) break;
            Merge(ids, _merges[best - Specials.Length - 256], best);
        }
        return _cache[word] = [.. ids];
    }

    public string Decode(IEnumerable<int> ids) => Encoding.UTF8.GetString([.. ids.SelectMany(id => _pieces[id])]);

    private static IEnumerable<int> Bytes(string word) => Encoding.UTF8.GetBytes(word).Select(b => b + Specials.Length);

    private static void Merge(List<int> ids, (int Left, int Right) pair, int merged)
    {
        int kept = 0;
        for (int i = 0; i < ids.Count; i++)
        {
            bool match = i + 1 < ids.Count && ids[i] == pair.Left && ids[i + 1] == pair.Right;
            ids[kept++] = match ? merged : ids[i];
            if (match) i++;
        }
        ids.RemoveRange(kept, ids.Count - kept);
    }

    /// <summary>Writes Hugging Face's tokenizer.json.</summary>
    public void Save(string path)
    {
        var vocabulary = new JsonObject();
        foreach ((int id, string token) in Tokens.Index()) vocabulary[token] = id;
        var added = Specials.Select((token, id) => (JsonNode)new JsonObject
        {
            ["id"] = id, ["content"] = token, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true,
        });
        JsonObject ByteLevel() => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = true };
        var root = new JsonObject
        {
            ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = new JsonArray([.. added]), ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(), ["post_processor"] = null, ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = null, ["continuing_subword_prefix"] = null, ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false, ["byte_fallback"] = false, ["ignore_merges"] = false, ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. Merges.Select(m => (JsonNode)m)]),
            },
        };
        File.WriteAllText(path, root.ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
    }

    public static BpeTokenizer Load(string path)
    {
        JsonNode model = JsonNode.Parse(File.ReadAllText(path))!["model"]!;
        return FromTokens([.. model["vocab"]!.AsObject().OrderBy(p => (int)p.Value!).Select(p => p.Key)], model["merges"]!.AsArray().Select(m => (string)m!));
    }

    /// <summary>Rebuilds a tokenizer from its token and merge lists (as a GGUF file holds them).</summary>
    public static BpeTokenizer FromTokens(IReadOnlyList<string> tokens, IEnumerable<string> _merges)
    {
        var ids = tokens.Select((token, id) => (token, id)).ToDictionary(t => t.token, t => t.id);
        return new BpeTokenizer(_merges.Select(m => m.Split(' ')).Select(m => (ids[m[0]], ids[m[1]])));
    }

    /// <summary>GPT-2's table: printable Latin-1 characters stand for themselves, the other bytes for U+0100 and up.</summary>
    private static readonly char[] ByteToChar = BuildByteToChar();

    private static char[] BuildByteToChar()
    {
        var table = new char[256];
        char next = (char)256;
        for (int b = 0; b < 256; b++)
            table[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)b : next++;
        return table;
    }

    private static string Printable(byte[] bytes) => string.Concat(bytes.Select(b => ByteToChar[b]));

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex WordPattern();

    [GeneratedRegex(@"(<\|endoftext\|>|<\|im_start\|>|<\|im_end\|>)")]
    private static partial Regex SpecialPattern();
}
