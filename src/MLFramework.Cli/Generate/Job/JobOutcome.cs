using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>What came of a prompt.</summary>
/// <param name="Line">The prompt.</param>
/// <param name="TokenIds">Tokens generated, as far as it came.</param>
/// <param name="Result">How its request ended; null if it was never accepted.</param>
/// <param name="Error">What went wrong; null if nothing did.</param>
internal sealed record class JobOutcome(PromptLine Line, IReadOnlyList<int> TokenIds, RequestResult? Result, Exception? Error)
{
    /// <summary>The kind of <see cref="Error"/>, for programs: a refusal's reason, or the exception's name.</summary>
    public string? ErrorType => Error switch
    {
        null => null,
        RequestRejectedException rejected => $"{rejected.Reason}",
        ArgumentException and not PromptTooLongException => "InvalidRequest",
        TimeoutException => "Timeout",
        _ => Error.GetType().Name.Replace("Exception", string.Empty, StringComparison.Ordinal),
    };
}
