namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Keys and values of the attributes that metrics and traces share.</summary>
internal static class TelemetryAttributes
{
    public const string OperationName = "gen_ai.operation.name";
    public const string ProviderName = "gen_ai.provider.name";
    public const string RequestModel = "gen_ai.request.model";
    public const string ErrorType = "error.type";
    public const string FinishReason = "mlframework.finish_reason";
    public const string PreemptionReason = "mlframework.preemption_reason";
    public const string RejectionReason = "mlframework.rejection_reason";

    /// <summary>The scheduler continues text; whether that text is a chat is known above it.</summary>
    public const string Operation = "text_completion";

    public const string Provider = "mlframework";

    public static string Name(CompletionReason reason) => reason switch
    {
        CompletionReason.EosTokenReached => "eos_token_reached",
        CompletionReason.MaxTokensReached => "max_tokens_reached",
        CompletionReason.Cancelled => "cancelled",
        CompletionReason.LengthReached => "length_reached",
        CompletionReason.StopString => "stop_string",
        CompletionReason.Timeout => "timeout",
        CompletionReason.Failed => "failed",
        _ => throw Unnamed(reason),
    };

    public static string Name(PreemptionReason reason) => reason switch
    {
        ContinuousBatching.PreemptionReason.HigherRankNeededBlocks => "higher_rank_needed_blocks",
        ContinuousBatching.PreemptionReason.NoBlocksLeft => "no_blocks_left",
        _ => throw Unnamed(reason),
    };

    public static string Name(RejectionReason reason) => reason switch
    {
        ContinuousBatching.RejectionReason.TooManyRequests => "too_many_requests",
        ContinuousBatching.RejectionReason.TooManyTokens => "too_many_tokens",
        ContinuousBatching.RejectionReason.QueueDelay => "queue_delay",
        ContinuousBatching.RejectionReason.DeadlineUnreachable => "deadline_unreachable",
        ContinuousBatching.RejectionReason.Stopped => "stopped",
        _ => throw Unnamed(reason),
    };

    /// <summary>
    /// Value of <see cref="ErrorType"/>: <c>timeout</c>, or the full name of the exception that failed the request; null for a request
    /// that did not fail. A cancelled one did not.
    /// </summary>
    public static string? ErrorTypeOf(RequestResult result) => result.Reason switch
    {
        CompletionReason.Timeout => "timeout",
        CompletionReason.Failed => result.Exception?.GetType().FullName ?? "_OTHER",
        _ => null,
    };

    private static ArgumentOutOfRangeException Unnamed<T>(T reason) =>
        new(nameof(reason), reason, $"This {typeof(T).Name} has no name for telemetry; add it here.");
}
