using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>One prompt of a file: what to generate, for whom, and what to echo.</summary>
/// <param name="Index">Its place among the prompts, from 0.</param>
/// <param name="Fingerprint">Tells whether the line, or what it was to be computed with, has changed: 16 hexadecimal digits.</param>
/// <param name="EndOffset">Bytes of the file up to its end.</param>
internal sealed record class PromptLine(long Index, string Fingerprint, long EndOffset)
{
    /// <summary>The text to continue, if that is how the prompt is given.</summary>
    public string? Prompt { get; init; }

    /// <summary>The prompt as token ids, to which nothing is added.</summary>
    public int[]? PromptIds { get; init; }

    /// <summary>A conversation to answer.</summary>
    public IReadOnlyList<ChatMessage>? Messages { get; init; }

    /// <summary>Most tokens to generate.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>How to choose tokens, whose request it is, how long it may take.</summary>
    public required GenerationOptions Options { get; init; }

    /// <summary>Class of service.</summary>
    public Priority Priority { get; init; } = Priority.Normal;

    /// <summary>After this the answer is worthless.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>JSON to echo as <c>id</c>.</summary>
    public string? Id { get; init; }

    /// <summary>JSON to echo as <c>metadata</c>.</summary>
    public string? Metadata { get; init; }
}

/// <summary>What prompts have that do not say otherwise.</summary>
/// <param name="MaxTokens">Most tokens to generate.</param>
/// <param name="Options">How to choose tokens.</param>
/// <param name="Seed">From this and its index a prompt gets its seed.</param>
internal sealed record class PromptDefaults(int MaxTokens, GenerationOptions Options, int Seed);
