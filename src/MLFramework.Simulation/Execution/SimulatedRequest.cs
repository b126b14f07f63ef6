using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>
/// A request whose answer has a length that is known beforehand to the simulated model and to nobody else: the scheduler sees
/// only <see cref="Request.MaxTokens"/>, as in production.
/// </summary>
public sealed class SimulatedRequest : Request
{
    /// <summary>Makes a request.</summary>
    /// <param name="id">Unique among the requests that are alive.</param>
    /// <param name="promptTokenIds">The prompt, at least one token.</param>
    /// <param name="outputTokens">After this many tokens, of which it is the last, the model ends the sequence; at least 1.</param>
    /// <param name="maxTokens">What the caller allows, at least 1.</param>
    /// <param name="priority">Class of service.</param>
    /// <param name="timeProvider">The simulation's clock.</param>
    /// <param name="cancellationToken">Cancels the request.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="outputTokens"/> is less than 1.</exception>
    public SimulatedRequest(
        RequestId id,
        ReadOnlyMemory<int> promptTokenIds,
        int outputTokens,
        int maxTokens,
        Priority priority,
        TimeProvider timeProvider,
        CancellationToken cancellationToken = default)
        : base(id, string.Empty, maxTokens, cancellationToken, priority, timeProvider)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(outputTokens, 1);
        PromptTokenIds = promptTokenIds;
        OutputTokens = outputTokens;
    }

    /// <summary>Length of the answer, the end-of-sequence token included.</summary>
    public int OutputTokens { get; }

    /// <summary>What the recorder keeps of it while it is alive.</summary>
    internal RequestTimeline? Timeline { get; init; }
}
