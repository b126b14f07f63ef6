namespace MLFramework.Simulation;

/// <summary>What a request must meet to count as goodput. A null member asks for nothing.</summary>
/// <param name="TimeToFirstToken">Longest time from arrival to the first token.</param>
/// <param name="MeanInterTokenLatency">Longest mean time between a request's tokens.</param>
/// <param name="P99InterTokenLatency">Time between tokens that at most one in a hundred of a request's gaps may exceed.</param>
/// <remarks>Goodput as in Zhong et al., "DistServe", OSDI 2024: requests per second that met every objective.</remarks>
public sealed record class ServiceObjectives(
    TimeSpan? TimeToFirstToken = null,
    TimeSpan? MeanInterTokenLatency = null,
    TimeSpan? P99InterTokenLatency = null)
{
    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An objective is not more than zero.</exception>
    public void Validate()
    {
        ThrowIfNotPositive(TimeToFirstToken, nameof(TimeToFirstToken));
        ThrowIfNotPositive(MeanInterTokenLatency, nameof(MeanInterTokenLatency));
        ThrowIfNotPositive(P99InterTokenLatency, nameof(P99InterTokenLatency));
    }

    private static void ThrowIfNotPositive(TimeSpan? value, string name)
    {
        if (value is { } v && v <= TimeSpan.Zero)
        {
            throw new ArgumentOutOfRangeException(name, v, $"{name} must be more than zero; leave it null to ask for nothing.");
        }
    }
}
