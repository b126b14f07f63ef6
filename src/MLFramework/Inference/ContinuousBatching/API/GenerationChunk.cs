namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A piece of a streamed response.</summary>
/// <param name="RequestId">The request.</param>
/// <param name="Text">
/// Text that has become certain since the last chunk; may be empty while a character or a possible stop string is incomplete. The texts of all chunks
/// make up the result's text.
/// </param>
/// <param name="TokenIds">Ids of the tokens generated since the last chunk.</param>
public record class GenerationChunk(RequestId RequestId, string Text, IReadOnlyList<int> TokenIds)
{
    /// <summary>Log-probabilities of the tokens, one each, if <see cref="GenerationOptions.TopLogProbs"/> asked for them.</summary>
    public IReadOnlyList<TokenLogProbs>? LogProbs { get; init; }

    /// <summary>Why the response ended; null in all chunks but the last.</summary>
    public CompletionReason? FinishReason { get; init; }

    /// <summary>The whole result with its times; null in all chunks but the last.</summary>
    public GenerationResult? Result { get; init; }
}
