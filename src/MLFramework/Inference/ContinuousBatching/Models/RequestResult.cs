namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How one request ended.</summary>
/// <param name="RequestId">The request.</param>
/// <param name="GeneratedText">All text generated, without the stop string and without the end-of-sequence token.</param>
/// <param name="TokensGenerated">Tokens generated, the end-of-sequence token included.</param>
/// <param name="Reason">Why it ended.</param>
/// <param name="ProcessingTime">From first scheduled to ended; zero for a request that never ran.</param>
public record class RequestResult(
    RequestId RequestId,
    string GeneratedText,
    int TokensGenerated,
    CompletionReason Reason,
    TimeSpan ProcessingTime)
{
    /// <summary>From accepted to first scheduled, or to the end for a request that never ran.</summary>
    public TimeSpan QueueTime { get; init; }

    /// <summary>From accepted to the first generated token (TTFT); null when there was none.</summary>
    public TimeSpan? TimeToFirstToken { get; init; }

    /// <summary>Prompt tokens.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Prompt tokens whose keys and values came from the prefix cache when the request first ran.</summary>
    public int CachedPromptTokens { get; init; }

    /// <summary>How often the request gave up its KV blocks to one of higher rank and was computed again.</summary>
    public int Preemptions { get; init; }

    /// <summary>Log-probabilities of the generated tokens, if <see cref="GenerationOptions.TopLogProbs"/> asked for them.</summary>
    public IReadOnlyList<TokenLogProbs>? LogProbs { get; init; }

    /// <summary>What went wrong, in words, for <see cref="CompletionReason.Failed"/> and <see cref="CompletionReason.Timeout"/>; otherwise null.</summary>
    public string? Error { get; init; }

    /// <summary>The exception behind <see cref="Error"/>: the one that the caller's task fails with.</summary>
    public Exception? Exception { get; init; }

    /// <summary>From accepted to ended.</summary>
    public TimeSpan TotalTime => QueueTime + ProcessingTime;
}
