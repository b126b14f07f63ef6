namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Decides how many prompt tokens an iteration may compute beside running streams, so that a long prompt delays their next tokens by a
/// bounded amount (Sarathi-Serve, Agrawal et al., OSDI 2024, calls it stall-free batching), and learns from measured step times
/// what a prompt token costs.
/// </summary>
/// <remarks>
/// The target of a step is the inter-token target times <see cref="SchedulerConfiguration.TargetUtilization"/>. While nobody waits for a slot
/// the target is also at most <see cref="StreamStretch"/> times the step without prefill: one long prompt is then stretched rather than the
/// streams. With a backlog it is the whole target, since every prompt in line pays for the streams' comfort. Owner thread only.
/// </remarks>
internal sealed class PrefillGovernor(SchedulerConfiguration configuration)
{
    /// <summary>How much longer than without prefill a step may be while nobody waits.</summary>
    public const double StreamStretch = 1.8;

    /// <summary>Least prompt tokens per iteration: prefill always advances.</summary>
    public const int Least = 16;

    /// <summary>Prompt tokens tried first beside streams, when nothing is known of their cost.</summary>
    private const int FirstTry = 64;

    private const double Smoothing = 0.25;

    private readonly double _target =
        configuration.TargetUtilization * (configuration.InterTokenTarget?.TotalSeconds ?? 1.0 / configuration.MinIterationsPerSecond);

    private int _observed;
    private double? _decodeStep;
    private double? _tokenCost;
    private int _lastMixed = FirstTry / 2;

    /// <summary>Prompt tokens that the next iteration may compute.</summary>
    /// <param name="decodes">Streams that get a token in it.</param>
    /// <param name="hasBacklog">Whether requests wait that could not start.</param>
    public int Allow(int decodes, bool hasBacklog)
    {
        if (!configuration.EnableAdaptiveBatching || decodes == 0)
        {
            return int.MaxValue;
        }

        // Growth by doubling at most: a cost measured on a small chunk says little of a large one.
        int most = _lastMixed * 2;
        if (_decodeStep is not { } step || _tokenCost is not { } cost)
        {
            return Math.Max(Least, most);
        }

        double stretched = step * StreamStretch;
        double target = hasBacklog || step > _target ? Math.Max(_target, stretched) : Math.Min(_target, stretched);
        double fits = cost > 0 ? (target - step) / cost : most;
        return (int)Math.Clamp(fits, Least, Math.Max(Least, most));
    }

    /// <summary>Learns from an iteration.</summary>
    /// <param name="decodes">Streams that got a token.</param>
    /// <param name="prefillTokens">Prompt tokens computed.</param>
    /// <param name="seconds">Duration of the run.</param>
    public void Observe(int decodes, int prefillTokens, double seconds)
    {
        if (_observed < configuration.WarmupIterations)
        {
            _observed++;
            return;
        }

        if (prefillTokens == 0)
        {
            _decodeStep = Smooth(_decodeStep, seconds);
        }
        else if (decodes > 0)
        {
            // Without a decode step to compare with, the whole duration is charged to the prompt: the first guess is careful.
            _tokenCost = Smooth(_tokenCost, Math.Max(0, seconds - (_decodeStep ?? 0)) / prefillTokens);
            _lastMixed = Math.Clamp(prefillTokens, Least, int.MaxValue / 2);
        }
    }

    private static double Smooth(double? old, double value) => old is { } o ? o + (Smoothing * (value - o)) : value;
}
