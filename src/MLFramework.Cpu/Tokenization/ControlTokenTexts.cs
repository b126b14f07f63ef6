using System.Collections.Frozen;

namespace MLFramework.Cpu;

/// <summary>
/// Texts that are control tokens whatever kind a file gives them. Converted models often declare their role and end marks as ordinary or user-defined
/// tokens, and then a user who types one would speak as the system.
/// </summary>
internal static class ControlTokenTexts
{
    private static readonly FrozenSet<string> Ends = FrozenSet.ToFrozenSet(
    [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "<|EOT|>",
        "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "<|fim_repo|>", "<|repo_name|>",
        "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
    ], StringComparer.Ordinal);

    private static readonly FrozenSet<string> Others = FrozenSet.ToFrozenSet(
    [
        "<s>", "</s>", "<start_of_turn>", "<fim-prefix>", "<fim_prefix>", "<PRE>", "▁<PRE>", "<fim-suffix>", "<fim_suffix>", "<SUF>", "▁<SUF>",
        "<fim-middle>", "<fim_middle>", "<MID>", "▁<MID>",
    ], StringComparer.Ordinal);

    /// <summary>Whether a token of this text ends a turn, a message or the text.</summary>
    public static bool EndsGeneration(string text) => Ends.Contains(text);

    /// <summary>Whether a token of this text is a control token: a listed one, or any <c>&lt;|…|&gt;</c>.</summary>
    public static bool IsControl(string text) => Ends.Contains(text) || Others.Contains(text)
        || (text.Length > 4 && text[0] == '<' && text[^1] == '>' && text[1] is '|' or '｜' && text[^2] is '|' or '｜');
}
