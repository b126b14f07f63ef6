using MLFramework.Serving.Tests;

namespace MLFramework.Serving.Benchmarks;

/// <summary>Throughput and waiting under Poisson load, in virtual time: the batcher's real code, without the noise of a machine.</summary>
internal static class VirtualLoad
{
    private static readonly TimeSpan s_duration = TimeSpan.FromSeconds(10);

    public static void Run()
    {
        Console.WriteLine($"processor {LoadSimulation.OverheadMs} ms + {LoadSimulation.PerRequestMs} ms a request, batches of at most {LoadSimulation.MaxBatchSize}: capacity {LoadSimulation.Capacity:N0} req/s; {s_duration.TotalSeconds:0} s of virtual time");
        Console.WriteLine($"{"strategy",-16} {"load",5} {"offered/s",10} {"served/s",10} {"of optimum",11} {"p50 wait ms",12} {"p99 wait ms",12} {"mean batch",11} {"target",7}");
        foreach (TimeoutStrategy strategy in Enum.GetValues<TimeoutStrategy>())
        {
            foreach (double load in (double[])[0.2, 0.5, 0.8, 0.95, 1.5, 3])
            {
                LoadResult result = LoadSimulation.Run(LoadSimulation.Configuration(strategy), load, s_duration);
                HistogramSnapshot waits = result.Statistics.WaitTimes;
                Console.WriteLine(
                    $"{strategy,-16} {load,5} {result.Offered,10:N0} {result.Throughput,10:N0} {result.Throughput / result.Optimum,11:P1} {waits.Quantile(0.5),12:N2} {waits.Quantile(0.99),12:N2} {result.Statistics.BatchSizes.Mean,11:N1} {result.Statistics.Adaptive?.TargetBatchSize,7}");
            }
        }
    }
}
