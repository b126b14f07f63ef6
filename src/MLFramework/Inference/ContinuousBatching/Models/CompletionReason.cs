namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Why a request ended. Every admitted request ends exactly once, with exactly one of these.</summary>
public enum CompletionReason
{
    /// <summary>The model generated its end-of-sequence token.</summary>
    EosTokenReached,

    /// <summary><see cref="Request.MaxTokens"/> tokens were generated.</summary>
    MaxTokensReached,

    /// <summary>The caller cancelled, or the scheduler stopped before the request had finished.</summary>
    Cancelled,

    /// <summary>A length limit other than the token limit was met: the response's characters or the context.</summary>
    LengthReached,

    /// <summary>One of the stop strings appeared in the text.</summary>
    StopString,

    /// <summary>The request's deadline or time limit passed.</summary>
    Timeout,

    /// <summary>The model, or the memory it needs, failed this request; the error says how.</summary>
    Failed,
}
