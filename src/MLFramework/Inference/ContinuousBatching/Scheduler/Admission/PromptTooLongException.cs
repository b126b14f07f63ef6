namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A prompt does not fit the context, or the whole KV cache, with room for one token of response.</summary>
public sealed class PromptTooLongException : ArgumentException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="limit">Most tokens that a prompt may have.</param>
    public PromptTooLongException(int promptTokens, int limit)
        : base($"The prompt has {promptTokens} tokens; at most {limit} fit, with room for one token of response. Shorten it, or raise " +
            "BatchConstraints.MaxSequenceLength or the size of the KV cache.")
    {
        PromptTokens = promptTokens;
        Limit = limit;
    }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Most tokens that a prompt may have.</summary>
    public int Limit { get; }
}
