namespace MLFramework.Serving;

/// <summary>A batch processor broke its contract: it did not return exactly one response for each request.</summary>
public sealed class BatchResponseException : InvalidOperationException
{
    private BatchResponseException(string message, int expected, int? actual)
        : base(message)
    {
        ExpectedCount = expected;
        ActualCount = actual;
    }

    /// <summary>How many requests the batch had.</summary>
    public int ExpectedCount { get; }

    /// <summary>How many responses came back, or null when there was no list at all.</summary>
    public int? ActualCount { get; }

    /// <summary>The exception for <paramref name="responses"/> to a batch of <paramref name="expected"/> requests, or null when they fit.</summary>
    internal static BatchResponseException? Check<TResponse>(int expected, List<TResponse>? responses)
    {
        if (responses is null)
        {
            return new($"The batch processor returned null for a batch of {expected} requests. Return a list with one response for each request.", expected, null);
        }

        return responses.Count == expected
            ? null
            : new(
                $"The batch processor returned {responses.Count} responses, too {(responses.Count < expected ? "few" : "many")} for a batch of {expected} requests. Return exactly one for each request, in their order.",
                expected,
                responses.Count);
    }
}
