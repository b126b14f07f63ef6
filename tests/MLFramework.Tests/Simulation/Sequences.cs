using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation;

/// <summary>Sequences for batches made without a scheduler.</summary>
internal static class Sequences
{
    public static Sequence OfLength(int promptTokens, int outputTokens = 8, int maxTokens = 100)
    {
        int[] prompt = [.. Enumerable.Range(10, promptTokens)];
        return new Sequence(new SimulatedRequest(RequestId.New(), prompt, outputTokens, maxTokens, Priority.Normal, TimeProvider.System), prompt);
    }
}
