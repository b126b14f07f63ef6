namespace MLFramework.Serving.Benchmarks;

/// <summary>Round trip of one request at a time through a no-op processor: what the way through the batcher costs.</summary>
internal static class Latency
{
    private const int Warmup = 50_000;
    private const int Samples = 200_000;

    public static async Task RunAsync()
    {
        var configuration = new BatchingConfiguration { PreferBatchSize = 1 };
        Console.WriteLine($"one request in flight, no-op processor, {Samples:N0} samples, microseconds");
        foreach (IContender contender in (IContender[])
            [
                new DynamicBatcherContender(configuration, Task.FromResult),
                new ChannelLoopContender(configuration.MaxQueueSize, configuration.MaxBatchSize, Task.FromResult),
                new UnbatchedContender(Task.FromResult),
            ])
        {
            await using (contender)
            {
                double[] micros = await Task.Run(() => MeasureAsync(contender));
                Array.Sort(micros);
                Console.WriteLine($"{contender.Name,-15} mean {micros.Average(),6:N2}   p50 {micros[Samples / 2],6:N2}   p90 {micros[Samples * 9 / 10],6:N2}   p99 {micros[Samples * 99 / 100],6:N2}");
            }
        }
    }

    private static async Task<double[]> MeasureAsync(IContender contender)
    {
        for (int i = 0; i < Warmup; i++)
        {
            await contender.ProcessAsync(i);
        }

        var micros = new double[Samples];
        for (int i = 0; i < Samples; i++)
        {
            long started = TimeProvider.System.GetTimestamp();
            await contender.ProcessAsync(i);
            micros[i] = TimeProvider.System.GetElapsedTime(started).TotalMicroseconds;
        }

        return micros;
    }
}
