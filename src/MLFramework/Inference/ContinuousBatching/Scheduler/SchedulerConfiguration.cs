namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How the scheduler's loop behaves.</summary>
/// <param name="IterationTimeoutMs">
/// Milliseconds after which an iteration is given up, unless ten times <see cref="IModelExecutor.EstimateDuration"/> is longer. It is then
/// cancelled, awaited for as long again, and treated as a failure; an executor that ignores its token that long is called again while
/// its old call still runs.
/// </param>
/// <param name="MaxIdleIterations">Empty passes of the loop, each a few microseconds, before it parks until it is woken.</param>
/// <param name="MinIterationsPerSecond">
/// Iterations per second below which running streams must not fall for the sake of prefill: its inverse is the inter-token target, if
/// <see cref="InterTokenTarget"/> does not give one.
/// </param>
/// <param name="EnableAdaptiveBatching">Whether prefill per iteration adapts to the measured step time; otherwise only the fixed limits hold.</param>
/// <param name="WarmupIterations">First iterations whose step times teach the scheduler nothing: code is still being compiled, caches are cold.</param>
/// <param name="TargetUtilization">Share of the inter-token target that an iteration is planned to fill, in (0, 1].</param>
public record class SchedulerConfiguration(
    int IterationTimeoutMs = 1000,
    int MaxIdleIterations = 10,
    int MinIterationsPerSecond = 30,
    bool EnableAdaptiveBatching = true,
    int WarmupIterations = 5,
    double TargetUtilization = 0.85)
{
    /// <summary>The defaults.</summary>
    public static readonly SchedulerConfiguration Default = new();

    /// <summary>Bounds of what may wait; <see cref="AdmissionLimits.Default"/> if not set.</summary>
    public AdmissionLimits Admission { get; init; } = AdmissionLimits.Default;

    /// <summary>Longest time between two tokens of a running stream that prefill may cause; null for one over <see cref="MinIterationsPerSecond"/>.</summary>
    public TimeSpan? InterTokenTarget { get; init; }

    /// <summary>How often a failing batch is tried again before it is split, and a failing request before it is failed; at least 0.</summary>
    /// <value>2.</value>
    public int MaxRetries { get; init; } = 2;

    /// <summary>How long <see cref="ContinuousBatchScheduler.StopAsync"/> lets accepted work finish when the caller does not say.</summary>
    /// <value>30 seconds.</value>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(IterationTimeoutMs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxIdleIterations, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(MinIterationsPerSecond, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(WarmupIterations, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxRetries, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(StopTimeout, TimeSpan.Zero);
        if (!(TargetUtilization > 0 && TargetUtilization <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(TargetUtilization), TargetUtilization, "TargetUtilization is a share: more than 0, at most 1.");
        }

        if (InterTokenTarget is { } target)
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(target, TimeSpan.Zero, nameof(InterTokenTarget));
        }

        Admission.Validate();
    }
}
