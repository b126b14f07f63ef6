using MLFramework.Serving.Tests;

namespace MLFramework.Serving.Benchmarks;

/// <summary>The same load in real time. The processor occupies its thread, as a computation does; arrivals are Poisson, sent by a timer of a millisecond.</summary>
internal static class RealLoad
{
    private const double WarmupSeconds = 1;
    private const double Seconds = 4;

    private static readonly TimeProvider s_clock = TimeProvider.System;
    private static double s_busySeconds;
    private static long s_processed;

    public static async Task RunAsync()
    {
        Console.WriteLine($"processor {LoadSimulation.OverheadMs} ms + {LoadSimulation.PerRequestMs} ms a request, busy; nominal capacity {LoadSimulation.Capacity:N0} req/s; {Seconds} s each. Optimum: the lesser of offered load and what the processor's measured time allows");
        Console.WriteLine($"{"contender",-16} {"load",5} {"offered/s",10} {"served/s",10} {"of optimum",11} {"p50 wait ms",12} {"p99 wait ms",12} {"mean batch",11}");
        foreach (double load in (double[])[0.2, 0.5, 0.8, 0.95, 1.5, 3])
        {
            await using var batcher = new DynamicBatcher<long, long>(LoadSimulation.Configuration(TimeoutStrategy.DispatchPartial), ProcessAsync);
            (double offered, double served) = await OfferAsync(load, batcher.ProcessAsync);
            QueueStatistics statistics = batcher.GetStatistics();
            Print("DynamicBatcher", load, offered, served, statistics.WaitTimes.Quantile(0.5), statistics.WaitTimes.Quantile(0.99), statistics.BatchSizes.Mean);
        }
    }

    private static void Print(string name, double load, double offered, double served, double p50, double p99, double meanBatch) => Console.WriteLine(
        $"{name,-16} {load,5} {offered,10:N0} {served,10:N0} {served / Math.Min(offered, s_processed / s_busySeconds),11:P1} {p50,12:N2} {p99,12:N2} {meanBatch,11:N1}");

    /// <summary>Sends Poisson arrivals and counts the responses that come back between the end of the warm-up and the end.</summary>
    private static async Task<(double Offered, double Served)> OfferAsync(double load, Func<long, CancellationToken, Task<long>> processAsync)
    {
        var random = new Random(1);
        long started = s_clock.GetTimestamp();
        double due = 0;
        int offered = 0;
        int served = 0;
        bool warm = false;
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(1), s_clock);
        while (Elapsed() < WarmupSeconds + Seconds)
        {
            if (!warm && Elapsed() > WarmupSeconds)
            {
                warm = true;
                (s_busySeconds, s_processed) = (0, 0);
            }

            for (; due <= Elapsed(); due += -Math.Log(1 - random.NextDouble()) / (load * LoadSimulation.Capacity))
            {
                _ = CountAsync(due > WarmupSeconds);
            }

            await tick.WaitForNextTickAsync();
        }

        return (offered / Seconds, served / Seconds);

        double Elapsed() => s_clock.GetElapsedTime(started).TotalSeconds;

        async Task CountAsync(bool counts)
        {
            if (counts)
            {
                offered++;
            }

            try
            {
                await processAsync(0, CancellationToken.None);
                if (Elapsed() is > WarmupSeconds and < WarmupSeconds + Seconds)
                {
                    Interlocked.Increment(ref served);
                }
            }
            catch (InvalidOperationException e) when (QueueFullError.Is(e))
            {
                // Beyond capacity refusals are the point.
            }
        }
    }

    private static Task<List<long>> ProcessAsync(List<long> requests)
    {
        long started = s_clock.GetTimestamp();
        double milliseconds = LoadSimulation.OverheadMs + (LoadSimulation.PerRequestMs * requests.Count);
        while (s_clock.GetElapsedTime(started).TotalMilliseconds < milliseconds)
        {
            Thread.SpinWait(20);
        }

        // On a busy machine the thread loses its core at times: that is the processor's time too.
        s_busySeconds += s_clock.GetElapsedTime(started).TotalSeconds;
        s_processed += requests.Count;
        return Task.FromResult(requests);
    }
}
