namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What an executor computed for a batch.</summary>
/// <param name="GeneratedTokens">The token sampled for each request whose <see cref="ScheduledTokens.ProducesToken"/> is true; others are ignored.</param>
/// <param name="Logits">Raw logits, one per vocabulary entry, only for requests that asked for log-probabilities and are not in <see cref="LogProbs"/>.</param>
/// <param name="IsEosReached">One flag per request, in the order of <see cref="Batch.Requests"/>: true ends the request, whatever its token.</param>
public record class BatchOutput(
    Dictionary<RequestId, int> GeneratedTokens,
    Dictionary<RequestId, float[]> Logits,
    bool[] IsEosReached)
{
    /// <summary>Log-probabilities of the sampled tokens, for requests that asked for them.</summary>
    public Dictionary<RequestId, TokenLogProbs>? LogProbs { get; init; }

    /// <summary>Requests that failed by themselves (logits that are not numbers, say), each with its error. The rest of the batch counts.</summary>
    public Dictionary<RequestId, Exception>? Failures { get; init; }
}
