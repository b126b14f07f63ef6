using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>One request of a load: when it arrives, what it asks, and how long its answer will be.</summary>
/// <param name="Time">Since the beginning of the load; not negative.</param>
/// <param name="Prompt">The prompt as segments of named content, at least one token in all.</param>
/// <param name="OutputTokens">Tokens that the model will answer with, the end-of-sequence token included; at least 1. The scheduler does not know it.</param>
public sealed record class Arrival(TimeSpan Time, IReadOnlyList<PromptSegment> Prompt, int OutputTokens)
{
    /// <summary>Longest prompt and longest answer that a load may have; no model's context comes near.</summary>
    public const int MaxTokens = 10_000_000;

    /// <summary>Whose request it is; empty for nobody in particular.</summary>
    public string Tenant { get; init; } = string.Empty;

    /// <summary>Class of service.</summary>
    public Priority Priority { get; init; } = Priority.Normal;

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens => Prompt.Sum(segment => segment.Length);
}
