using System.Text.Json.Serialization;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>What <c>mlf generate --json</c> prints.</summary>
/// <param name="TokenIds">The tokens generated, the end-of-sequence token included.</param>
/// <param name="Text">Their text.</param>
/// <param name="LogProbs">One entry per token, if asked for.</param>
/// <param name="FinishReason">Why the response ended.</param>
/// <param name="Timings">What it took.</param>
internal sealed record class GenerateDocument(
    IReadOnlyList<int> TokenIds,
    string Text,
    [property: JsonPropertyName("logprobs")] IReadOnlyList<LogProbDocument>? LogProbs,
    CompletionReason FinishReason,
    ResponseTimings Timings);

/// <summary>A token with its natural log-probability.</summary>
/// <param name="Id">The token.</param>
/// <param name="LogProb">Natural logarithm of its probability.</param>
/// <param name="Top">The likeliest tokens instead of it; null inside such a list.</param>
internal sealed record class LogProbDocument(
    int Id,
    [property: JsonPropertyName("logprob")] float LogProb,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<LogProbDocument>? Top = null)
{
    /// <summary>That of a generated token.</summary>
    public static LogProbDocument Of(TokenLogProbs logProbs) => new(
        logProbs.Chosen.TokenId, logProbs.Chosen.LogProb, [.. logProbs.Top.Select(top => new LogProbDocument(top.TokenId, top.LogProb))]);
}

/// <summary>Its serializer, generated at compile time.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(GenerateDocument))]
[JsonSerializable(typeof(List<LogProbDocument>))]
internal sealed partial class GenerateJsonContext : JsonSerializerContext;
