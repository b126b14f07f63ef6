namespace MLFramework.Serving.Benchmarks;

/// <summary>Requests per second and bytes per request in a closed loop: callers that each have one request in flight.</summary>
internal static class Throughput
{
    private const int Threads = 2;
    private const int Callers = 1024;
    private const int RequestsPerRound = 3_000_000;
    private const int Rounds = 7;

    public static async Task RunAsync()
    {
        ThreadPool.SetMinThreads(Threads, 1);
        ThreadPool.SetMaxThreads(Threads, 1);
        var configuration = new BatchingConfiguration { MaxBatchSize = 64, PreferBatchSize = 64, MaxQueueSize = 2 * Callers, MaxConcurrentBatches = 1 };
        Console.WriteLine($"{Callers} callers, batches of at most 64, no-op processor, {Threads} threads; median of {Rounds} rounds of {RequestsPerRound:N0} requests");
        foreach (Func<IContender> make in (Func<IContender>[])
            [
                () => new DynamicBatcherContender(configuration, Task.FromResult),
                () => new ChannelLoopContender(configuration.MaxQueueSize, 64, Task.FromResult),
                () => new UnbatchedContender(Task.FromResult),
            ])
        {
            await using IContender contender = make();
            var rates = new List<double>();
            var bytes = new List<double>();
            await RoundAsync(contender, RequestsPerRound / 4);
            for (int round = 0; round < Rounds; round++)
            {
                long allocated = GC.GetTotalAllocatedBytes(precise: true);
                long started = TimeProvider.System.GetTimestamp();
                await RoundAsync(contender, RequestsPerRound);
                rates.Add(RequestsPerRound / TimeProvider.System.GetElapsedTime(started).TotalSeconds);
                bytes.Add((GC.GetTotalAllocatedBytes(precise: true) - allocated) / (double)RequestsPerRound);
            }

            Console.WriteLine($"{contender.Name,-15} {Median(rates),12:N0} req/s   {Median(bytes),6:N1} B/req   mean batch {contender.MeanBatchSize,5:N1}");
        }
    }

    /// <summary>All callers draw from one supply, so that none is left to fill batches alone at the end.</summary>
    private static Task RoundAsync(IContender contender, int requests)
    {
        int next = 0;
        return Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
        {
            for (int i = Interlocked.Increment(ref next); i <= requests; i = Interlocked.Increment(ref next))
            {
                if (await contender.ProcessAsync(i) != i)
                {
                    throw new InvalidOperationException("A response went to the wrong caller.");
                }
            }
        })));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
