namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How a <see cref="ContinuousBatchSchedulerClient"/> behaves.</summary>
/// <param name="DefaultMaxTokens">Most tokens to generate for callers that state none.</param>
/// <param name="TimeoutMultiplier">
/// A request without a deadline or limit of its own may take this many times its estimated wait and generation time, and never less than
/// <see cref="LeastTimeLimit"/>. While nothing is known of either, it has no limit.
/// </param>
/// <param name="EnableRequestLogging">Whether each request is logged as it comes and goes.</param>
/// <param name="EnableStatisticsCollection">Whether <see cref="ContinuousBatchSchedulerClient.GetStatistics"/> collects what it reports.</param>
/// <param name="MaxConcurrentEnqueue">Calls of one client that may be between their beginning and admission at once; more wait in order.</param>
public record class SchedulerApiClientConfiguration(
    int DefaultMaxTokens = 256,
    double TimeoutMultiplier = 1.5,
    bool EnableRequestLogging = true,
    bool EnableStatisticsCollection = true,
    int MaxConcurrentEnqueue = 100)
{
    /// <summary>No request is given less time than this.</summary>
    public static readonly TimeSpan LeastTimeLimit = TimeSpan.FromSeconds(60);

    /// <summary>The defaults.</summary>
    public static readonly SchedulerApiClientConfiguration Default = new();

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(DefaultMaxTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxConcurrentEnqueue, 1);
        if (!(TimeoutMultiplier > 0 && double.IsFinite(TimeoutMultiplier)))
        {
            throw new ArgumentOutOfRangeException(nameof(TimeoutMultiplier), TimeoutMultiplier, "TimeoutMultiplier must be a positive number.");
        }
    }
}
