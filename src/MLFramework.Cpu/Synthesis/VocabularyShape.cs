using System.Collections.Immutable;

namespace MLFramework.Cpu;

/// <summary>Size and special tokens of a byte-level vocabulary.</summary>
/// <param name="PreTokenizer"><c>tokenizer.ggml.pre</c>.</param>
/// <param name="Size">Number of token ids.</param>
/// <param name="FirstControl">Id of the first control token; the others follow.</param>
/// <param name="Controls">Texts of the control tokens.</param>
/// <param name="Bos">Text of the control token in front of a text.</param>
/// <param name="Eos">Text of the control token at which generation ends.</param>
/// <param name="AddsBos">Whether prompts start with <paramref name="Bos"/>.</param>
public sealed record VocabularyShape(string PreTokenizer, int Size, int FirstControl, ImmutableArray<string> Controls, string Bos, string Eos, bool AddsBos)
{
    /// <summary>Ids from here on mean nothing: some models round their vocabulary up. At most <see cref="Size"/>.</summary>
    public int FirstUnused { get; init; } = Size;

    internal static VocabularyShape SmolLM2 { get; } = new(
        "smollm", 49_152, FirstControl: 0,
        [
            "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>", "<issue_start>",
            "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>",
        ],
        "<|im_start|>", "<|im_end|>", AddsBos: false);

    internal static VocabularyShape Qwen2 { get; } = new(
        "qwen2", 151_936, FirstControl: 151_643,
        [
            "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
            "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>",
            "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
        ],
        "<|endoftext|>", "<|im_end|>", AddsBos: false) { FirstUnused = 151_665 };

    internal static VocabularyShape Llama3 { get; } = new(
        "llama-bpe", 128_256, FirstControl: 128_000,
        [
            "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
            "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
            .. Enumerable.Range(3, 245).Select(i => $"<|reserved_special_token_{i}|>"),
        ],
        "<|begin_of_text|>", "<|eot_id|>", AddsBos: true);
}
