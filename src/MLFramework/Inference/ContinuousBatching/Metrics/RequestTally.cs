namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// What the collector copies out of its lock to make <see cref="RequestStatistics"/> of: sorting thousands of latencies is not for
/// the scheduler to wait on.
/// </summary>
internal readonly struct RequestTally
{
    public required long Completed { get; init; }

    public required long Failed { get; init; }

    public required long Cancelled { get; init; }

    public required double RequestsPerSecond { get; init; }

    public required double TokensPerSecond { get; init; }

    /// <summary>The kept requests that completed.</summary>
    public required List<RequestMetrics> Samples { get; init; }

    /// <summary>Works the statistics out.</summary>
    /// <param name="precision">Decimals of the percentiles.</param>
    public RequestStatistics ToStatistics(int precision)
    {
        double[] latencies = new double[Samples.Count];
        double tokens = 0;
        double queueTicks = 0;
        double processingTicks = 0;
        for (int i = 0; i < latencies.Length; i++)
        {
            latencies[i] = Samples[i].TotalTime.TotalMilliseconds;
            tokens += Samples[i].TokensGenerated;
            queueTicks += Samples[i].QueueTime.Ticks;
            processingTicks += Samples[i].ProcessingTime.Ticks;
        }

        Array.Sort(latencies);
        int count = Math.Max(1, latencies.Length);
        return new RequestStatistics(
            Completed + Failed + Cancelled,
            Completed,
            Failed,
            Cancelled,
            tokens / count,
            Math.Round(Percentile.OfSorted(latencies, 50), precision),
            Math.Round(Percentile.OfSorted(latencies, 95), precision),
            Math.Round(Percentile.OfSorted(latencies, 99), precision),
            RequestsPerSecond,
            TokensPerSecond,
            TimeSpan.FromTicks((long)(queueTicks / count)),
            TimeSpan.FromTicks((long)(processingTicks / count)));
    }
}
