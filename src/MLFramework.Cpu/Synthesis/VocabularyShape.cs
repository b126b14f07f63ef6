using System.Collections.Immutable;

namespace MLFramework.Cpu;

/// <summary>A token with a meaning of its own.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Text">Its text.</param>
/// <param name="Kind">Its kind.</param>
public readonly record struct SpecialToken(int Id, string Text, TokenKind Kind = TokenKind.Control)
{
    /// <summary>Control tokens in a row.</summary>
    /// <param name="first">Id of the first.</param>
    /// <param name="texts">Their texts.</param>
    internal static IEnumerable<SpecialToken> Row(int first, params IEnumerable<string> texts) => texts.Select((text, i) => new SpecialToken(first + i, text));
}

/// <summary>Kind, size and special tokens of a vocabulary.</summary>
/// <param name="Family"><c>tokenizer.ggml.model</c>: <c>gpt2</c> for byte-level, <c>llama</c> for SentencePiece-style byte pair encoding.</param>
/// <param name="PreTokenizer"><c>tokenizer.ggml.pre</c>.</param>
/// <param name="Size">Number of token ids.</param>
/// <param name="Specials">Tokens with a meaning of their own.</param>
/// <param name="Bos">Text of the special token in front of a text.</param>
/// <param name="Eos">Text of the special token at which generation ends.</param>
/// <param name="AddsBos">Whether prompts start with <paramref name="Bos"/>.</param>
public sealed record VocabularyShape(string Family, string PreTokenizer, int Size, ImmutableArray<SpecialToken> Specials, string Bos, string Eos, bool AddsBos)
{
    /// <summary>Ids from here on that are not special mean nothing: some models round their vocabulary up. At most <see cref="Size"/>.</summary>
    public int FirstUnused { get; init; } = Size;

    /// <summary>SentencePiece: whether a text gets a space in front.</summary>
    public bool AddsSpacePrefix { get; init; } = true;

    internal static VocabularyShape SmolLM2 { get; } = new(
        "gpt2", "smollm", 49_152,
        [
            .. SpecialToken.Row(0,
                "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>", "<issue_start>",
                "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>"),
        ],
        "<|im_start|>", "<|im_end|>", AddsBos: false);

    internal static VocabularyShape Qwen { get; } = new(
        "gpt2", "qwen2", 151_936,
        [
            .. SpecialToken.Row(151_643,
                "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
                "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>",
                "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
        ],
        "<|endoftext|>", "<|im_end|>", AddsBos: false) { FirstUnused = 151_665 };

    internal static VocabularyShape Llama3 { get; } = new(
        "gpt2", "llama-bpe", 128_256,
        [
            .. SpecialToken.Row(128_000,
                "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
                "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
            .. SpecialToken.Row(128_011, Enumerable.Range(3, 245).Select(i => $"<|reserved_special_token_{i}|>")),
        ],
        "<|begin_of_text|>", "<|eot_id|>", AddsBos: true);

    internal static VocabularyShape Gemma3 { get; } = new(
        "llama", "default", 262_144,
        [
            .. SpecialToken.Row(0, "<pad>", "<eos>", "<bos>"), new(3, "<unk>", TokenKind.Unknown), .. SpecialToken.Row(4, "<mask>"),
            .. SpecialToken.Row(105, "<start_of_turn>", "<end_of_turn>"),
        ],
        "<bos>", "<eos>", AddsBos: true) { AddsSpacePrefix = false };

    internal static VocabularyShape Phi3 { get; } = new(
        "llama", "default", 32_064,
        [
            new(0, "<unk>", TokenKind.Unknown), .. SpecialToken.Row(1, "<s>", "</s>"),
            .. SpecialToken.Row(32_000,
                "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>", "<|system|>", "<|end|>",
                "<|placeholder5|>", "<|placeholder6|>", "<|user|>"),
        ],
        "<s>", "<|endoftext|>", AddsBos: true) { FirstUnused = 32_011 };
}
