using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>What a response took.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedPromptTokens">Of these, from the prefix cache.</param>
/// <param name="GeneratedTokens">Tokens of the response, the end-of-sequence token included.</param>
/// <param name="TimeToFirstTokenMs">TTFT in milliseconds; the model is loaded by then.</param>
/// <param name="TotalMs">From acceptance to the end, in milliseconds.</param>
/// <param name="TokensPerSecond">Decoding speed after the first token; null where there was only one.</param>
internal sealed record class ResponseTimings(
    int PromptTokens, int CachedPromptTokens, int GeneratedTokens, double TimeToFirstTokenMs, double TotalMs, double? TokensPerSecond)
{
    /// <summary>Those of a result.</summary>
    public static ResponseTimings Of(GenerationResult result) =>
        Of(result.QueueTime + result.ProcessingTime, result.TimeToFirstToken, result.PromptTokens, result.CachedPromptTokens, result.TokensGenerated);

    /// <summary>Those of a request.</summary>
    public static ResponseTimings Of(RequestResult result) =>
        Of(result.TotalTime, result.TimeToFirstToken, result.PromptTokens, result.CachedPromptTokens, result.TokensGenerated);

    private static ResponseTimings Of(TimeSpan total, TimeSpan? timeToFirstToken, int promptTokens, int cachedPromptTokens, int generatedTokens)
    {
        TimeSpan first = timeToFirstToken ?? total;
        double? speed = generatedTokens > 1 && total > first ? (generatedTokens - 1) / (total - first).TotalSeconds : null;
        return new(promptTokens, cachedPromptTokens, generatedTokens, first.TotalMilliseconds, total.TotalMilliseconds, speed);
    }
}
