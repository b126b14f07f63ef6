namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How one request for generation ended.</summary>
/// <param name="RequestId">The request.</param>
/// <param name="GeneratedText">The text, as far as it came.</param>
/// <param name="TokensGenerated">Tokens generated, the end-of-sequence token included.</param>
/// <param name="Reason">Why it ended.</param>
/// <param name="ProcessingTime">From first scheduled to ended.</param>
/// <param name="QueueTime">From accepted to first scheduled.</param>
/// <param name="Metadata">The caller's own data.</param>
public record class GenerationResult(
    RequestId RequestId,
    string GeneratedText,
    int TokensGenerated,
    CompletionReason Reason,
    TimeSpan ProcessingTime,
    TimeSpan QueueTime,
    Dictionary<string, object>? Metadata)
{
    /// <summary>From accepted to the first token; null when there was none.</summary>
    public TimeSpan? TimeToFirstToken { get; init; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Prompt tokens that came from the prefix cache.</summary>
    public int CachedPromptTokens { get; init; }

    /// <summary>Log-probabilities of the generated tokens, if <see cref="GenerationOptions.TopLogProbs"/> asked for them.</summary>
    public IReadOnlyList<TokenLogProbs>? LogProbs { get; init; }

    /// <summary>What went wrong; null unless <see cref="Reason"/> is a failure, a timeout, or the request was refused.</summary>
    public string? Error { get; init; }

    /// <summary>The exception behind <see cref="Error"/>: <see cref="RequestRejectedException"/>, with its reason and estimated wait, for a request that was refused.</summary>
    public Exception? Exception { get; init; }

    internal static GenerationResult Of(Request request, RequestResult result) => new(
        request.Id, result.GeneratedText, result.TokensGenerated, result.Reason, result.ProcessingTime, result.QueueTime, request.Metadata)
    {
        TimeToFirstToken = result.TimeToFirstToken,
        PromptTokens = result.PromptTokens,
        CachedPromptTokens = result.CachedPromptTokens,
        LogProbs = result.LogProbs,
        Error = result.Error,
        Exception = result.Exception,
    };

    /// <summary>The result of a request that was never accepted.</summary>
    internal static GenerationResult Refused(Request request, Exception error) => new(
        request.Id, string.Empty, 0, error is OperationCanceledException ? CompletionReason.Cancelled : CompletionReason.Failed, TimeSpan.Zero, TimeSpan.Zero, request.Metadata)
    {
        Error = error.Message,
        Exception = error,
    };
}
