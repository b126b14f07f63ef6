using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

/// <summary>Poisson arrivals against one serial processor that takes <c>overhead + perRequest · n</c>, in virtual time.</summary>
internal static class LoadSimulation
{
    public const double OverheadMs = 5;
    public const double PerRequestMs = 0.05;
    public const int MaxBatchSize = 64;

    /// <summary>The most requests a second that full batches can serve.</summary>
    public const double Capacity = MaxBatchSize / (OverheadMs + (PerRequestMs * MaxBatchSize)) * 1000;

    /// <summary>The time that a full batch takes, in milliseconds.</summary>
    public const double FullBatchMs = OverheadMs + (PerRequestMs * MaxBatchSize);

    public static BatchingConfiguration Configuration(TimeoutStrategy strategy) => new()
    {
        MaxBatchSize = MaxBatchSize,
        MaxConcurrentBatches = 1,
        MaxQueueSize = 4 * MaxBatchSize,
        TimeoutStrategy = strategy,
    };

    /// <param name="configuration">The batcher.</param>
    /// <param name="load">Offered load as a multiple of <see cref="Capacity"/>.</param>
    /// <param name="duration">Virtual time of the run.</param>
    /// <param name="seed">Seed of the arrivals.</param>
    public static LoadResult Run(BatchingConfiguration configuration, double load, TimeSpan duration, int seed = 1)
    {
        var clock = new VirtualTimeProvider();
        LoadResult result = null!;
        new SimulationContext(clock).Run(async () =>
        {
            var batcher = new DynamicBatcher<int, int>(configuration, ProcessAsync, clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());
            var random = new Random(seed);
            int offered = 0;
            while (true)
            {
                await DelayAsync(clock, -Math.Log(1 - random.NextDouble()) / (load * Capacity) * 1000);
                if (clock.Elapsed >= duration)
                {
                    break;
                }

                offered++;
                _ = batcher.ProcessAsync(offered);
            }

            // What the arrivals of the duration got; the drain belongs to them, as the empty start does.
            QueueStatistics statistics = batcher.GetStatistics();
            double seconds = duration.TotalSeconds;
            await batcher.DisposeAsync();
            result = new LoadResult(offered / seconds, statistics.CompletedRequests / seconds, Math.Min(offered / seconds, Capacity), statistics);
        });
        return result;

        async Task<List<int>> ProcessAsync(List<int> requests)
        {
            await DelayAsync(clock, OverheadMs + (PerRequestMs * requests.Count));
            return requests;
        }
    }

    private static async Task DelayAsync(VirtualTimeProvider clock, double milliseconds)
    {
        var due = new TaskCompletionSource();
        using ITimer timer = clock.CreateTimer(_ => due.SetResult(), null, TimeSpan.FromMilliseconds(milliseconds), Timeout.InfiniteTimeSpan);
        await due.Task;
    }
}

/// <summary>What a load run gave; rates in requests per second.</summary>
/// <param name="Offered">Arrivals.</param>
/// <param name="Throughput">Responses.</param>
/// <param name="Optimum">The lesser of arrivals and capacity: no batcher can do more.</param>
/// <param name="Statistics">The batcher's own, at the end.</param>
internal sealed record LoadResult(double Offered, double Throughput, double Optimum, QueueStatistics Statistics);
