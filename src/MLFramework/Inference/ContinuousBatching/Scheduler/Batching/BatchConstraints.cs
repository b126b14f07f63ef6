namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Limits of one batch.</summary>
/// <param name="MaxBatchSize">Most requests that run at once.</param>
/// <param name="MaxMemoryBytes">Most bytes of KV cache that running requests may hold together.</param>
/// <param name="MinBatchSize">From idle, the loop waits up to 2 ms for this many requests, or a full batch, before it starts; 1 for no wait.</param>
/// <param name="MaxSequenceLength">The context: most tokens of prompt and response together. A response that reaches it ends with <see cref="CompletionReason.LengthReached"/>.</param>
public record class BatchConstraints(
    int MaxBatchSize = 32,
    long MaxMemoryBytes = 16L * 1024 * 1024 * 1024,
    int MinBatchSize = 4,
    int MaxSequenceLength = 4096)
{
    /// <summary>The defaults.</summary>
    public static readonly BatchConstraints Default = new();

    /// <summary>Most positions computed in one iteration, decodes and prefill together; at least <see cref="MaxBatchSize"/>. Null for 2,048 or the batch size, if larger.</summary>
    public int? MaxTokensPerIteration { get; init; }

    /// <summary>The token budget in force.</summary>
    internal int TokenBudget => MaxTokensPerIteration ?? Math.Max(2048, MaxBatchSize);

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxMemoryBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MinBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxSequenceLength, 2);
        if (MaxTokensPerIteration is { } budget && budget < MaxBatchSize)
        {
            throw new ArgumentOutOfRangeException(
                nameof(MaxTokensPerIteration), budget, $"MaxTokensPerIteration must be at least MaxBatchSize ({MaxBatchSize}): every running request gets one token per iteration.");
        }
    }
}
