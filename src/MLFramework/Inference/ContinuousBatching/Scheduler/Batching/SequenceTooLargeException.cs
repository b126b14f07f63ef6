namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A request outgrew the whole KV cache or its memory limit: even alone it cannot go on.</summary>
public sealed class SequenceTooLargeException : InvalidOperationException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="requestId">The request.</param>
    /// <param name="tokens">Tokens, prompt and response, that it needs room for.</param>
    public SequenceTooLargeException(RequestId requestId, int tokens)
        : base($"Request {requestId} needs KV cache for {tokens} tokens, which is more than the whole cache or the memory limit can hold even for it alone. " +
            "Shorten the prompt, lower MaxTokens, or give the cache more blocks.")
    {
        RequestId = requestId;
        Tokens = tokens;
    }

    /// <summary>The request.</summary>
    public RequestId RequestId { get; }

    /// <summary>Tokens, prompt and response, that it needs room for.</summary>
    public int Tokens { get; }
}
