namespace MLFramework.Serving;

/// <summary>The batch size worth waiting for, as a pure function of load and processing time.</summary>
internal static class AdaptiveTarget
{
    /// <summary>The number of requests that arrive, per batch slot, while one batch of that number is processed.</summary>
    /// <remarks>
    /// With a batch of n taking a + b·n and λ arrivals on k slots, that is the fixed point n = (λ/k)·(a + b·n), so
    /// n = λ·a / (k − λ·b). A smaller batch would leave more behind than it takes away; a larger one would make the first
    /// request wait with an idle slot at hand. Light load gives 1 (nobody waits), load beyond capacity gives the maximum.
    /// </remarks>
    /// <param name="arrivalsPerSecond">λ; not negative.</param>
    /// <param name="overheadSeconds">a; not negative.</param>
    /// <param name="secondsPerRequest">b; not negative.</param>
    /// <param name="slots">k, batches that run in parallel; at least 1.</param>
    /// <param name="maxSize">The largest batch; at least 1.</param>
    public static int BatchSize(double arrivalsPerSecond, double overheadSeconds, double secondsPerRequest, int slots, int maxSize)
    {
        double slack = slots - (arrivalsPerSecond * secondsPerRequest);
        double arriving = arrivalsPerSecond * overheadSeconds;
        return arriving >= maxSize * slack ? maxSize : Math.Max(1, (int)(arriving / slack));
    }
}
