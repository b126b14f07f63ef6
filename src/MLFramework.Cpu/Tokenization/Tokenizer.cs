using System.Text;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>Turns text into the tokens of one model and back. Immutable and thread-safe.</summary>
public abstract class Tokenizer : ITokenizer
{
    private static readonly Dictionary<string, Func<GgufMetadata, Tokenizer>> Families = new(StringComparer.Ordinal)
    {
        ["llama"] = metadata => new SentencePieceTokenizer(metadata),
        ["gpt2"] = metadata => new ByteLevelTokenizer(metadata),
    };

    private readonly SpecialTokenScanner _specialTokens;

    private protected Tokenizer(GgufMetadata metadata, VocabularyDefaults defaults)
    {
        Vocabulary = new Vocabulary(metadata, defaults);
        _specialTokens = new SpecialTokenScanner(Vocabulary, StripsRight(metadata));
    }

    /// <summary>The model's tokens.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Whether the text after a BOS token starts with a space that <see cref="Encode(string)"/> put there.</summary>
    private protected virtual bool AddsSpacePrefix => false;

    /// <summary>Makes the tokenizer that a model declares.</summary>
    /// <param name="metadata">Metadata of the model.</param>
    /// <exception cref="GgufException">The tokenizer is missing, damaged, or of a family that this engine does not know.</exception>
    public static Tokenizer Load(GgufMetadata metadata)
    {
        const string Key = "tokenizer.ggml.model";
        string family = metadata.GetString(Key);
        return Families.TryGetValue(family, out Func<GgufMetadata, Tokenizer>? make)
            ? make(metadata)
            : throw metadata.Error(Key, $"is '{family}', a tokenizer that is not supported; known are {string.Join(", ", Families.Keys.Order())}");
    }

    /// <summary>Number of tokens.</summary>
    public int GetVocabSize() => Vocabulary.Count;

    /// <summary>Encodes a prompt as the model wants it (with BOS and EOS if it wants any); nothing in the text becomes a control token.</summary>
    /// <param name="text">The text. Halves of surrogate pairs count as U+FFFD.</param>
    public int[] Encode(string text) => Encode(text, addSpecial: true, parseSpecial: false);

    /// <summary>Encodes text.</summary>
    /// <param name="text">The text. Halves of surrogate pairs count as U+FFFD.</param>
    /// <param name="addSpecial">Whether BOS and EOS are added if the model wants them.</param>
    /// <param name="parseSpecial">Whether texts of control tokens become these tokens.</param>
    public int[] Encode(string text, bool addSpecial, bool parseSpecial) => Encode([new PromptSegment(text, parseSpecial)], addSpecial);

    /// <summary>
    /// Encodes a prompt of several parts, of which only some may hold control tokens. The ids are those of the joined text: the borders of the parts
    /// are no borders of tokens.
    /// </summary>
    /// <param name="segments">The parts.</param>
    /// <param name="addSpecial">Whether BOS and EOS are added if the model wants them.</param>
    public int[] Encode(ReadOnlySpan<PromptSegment> segments, bool addSpecial)
    {
        var joined = new StringBuilder();
        var ends = new (int End, bool Trusted)[segments.Length];
        for (int i = 0; i < segments.Length; i++) ends[i] = (joined.Append(segments[i].Text).Length, segments[i].ParseSpecial);
        ReadOnlySpan<char> prompt = segments.Length == 1 ? segments[0].Text : joined.ToString();

        var ids = new List<int>(prompt.Length / 3 + 2);
        if (addSpecial && Vocabulary.AddBos) ids.Add(Vocabulary.BosId!.Value);
        var merger = new PairMerger();
        bool afterSpecial = true;
        foreach (PromptFragment fragment in _specialTokens.Split(prompt, ends))
        {
            if (fragment.IsText) EncodeText(prompt.Slice(fragment.Start, fragment.Length), afterSpecial, merger, ids);
            else ids.Add(fragment.TokenId);
            afterSpecial = !fragment.IsText;
        }
        if (addSpecial && Vocabulary.AddEos) ids.Add(Vocabulary.EosId!.Value);
        return [.. ids];
    }

    /// <summary>
    /// Decodes tokens; control tokens yield no text, bytes that are no UTF-8 yield U+FFFD. After a leading BOS the space prefix that encoding adds is taken
    /// away.
    /// </summary>
    /// <param name="tokenIds">Ids of the vocabulary.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public string Decode(int[] tokenIds)
    {
        IncrementalDecoder decoder = CreateIncrementalDecoder();
        var text = new StringBuilder();
        foreach (int id in tokenIds) text.Append(decoder.Append(id));
        return text.Append(decoder.Flush()).ToString();
    }

    /// <summary>Makes a decoder that is fed token by token and never emits half a character.</summary>
    public IncrementalDecoder CreateIncrementalDecoder() => new(this, AddsSpacePrefix ? Vocabulary.BosId : null);

    /// <inheritdoc/>
    IIncrementalDecoder? ITokenizer.CreateIncrementalDecoder() => CreateIncrementalDecoder();

    /// <summary>The bytes that a token adds to a text: empty for control, unknown and unused tokens; not always whole characters.</summary>
    /// <param name="id">Id of the vocabulary.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such id.</exception>
    public abstract ReadOnlySpan<byte> Piece(int id);

    /// <summary>Encodes text that holds no special tokens.</summary>
    private protected abstract void EncodeText(ReadOnlySpan<char> text, bool afterSpecial, PairMerger merger, List<int> ids);

    /// <summary>
    /// Phi-3 swallows white space after its role marks. Files do not say so; llama.cpp goes by the name of the model, and so must whoever wants its ids.
    /// </summary>
    private Func<int, bool> StripsRight(GgufMetadata metadata)
    {
        string name = metadata.FindString("general.name") ?? "";
        return name.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || name.Contains("phi3", StringComparison.OrdinalIgnoreCase)
            ? id => Vocabulary.Text(id) is not ("<unk>" or "<s>" or "<|endoftext|>")
            : _ => false;
    }
}
