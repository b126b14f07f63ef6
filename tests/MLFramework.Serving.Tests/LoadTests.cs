namespace MLFramework.Serving.Tests;

public class LoadTests
{
    [Test]
    public void Throughput_is_within_5_percent_of_the_optimum_and_waits_are_bounded_below_capacity(
        [Values] TimeoutStrategy strategy, [Values(0.2, 0.5, 0.8, 0.95, 1.5, 3)] double load)
    {
        BatchingConfiguration configuration = LoadSimulation.Configuration(strategy);
        LoadResult result = LoadSimulation.Run(configuration, load, TimeSpan.FromSeconds(2));
        Assert.That(result.Throughput, Is.GreaterThanOrEqualTo(0.95 * result.Optimum));
        if (load < 1)
        {
            Assert.That(result.Statistics.RejectedRequests, Is.Zero);
            Assert.That(result.Statistics.WaitTimes.Quantile(0.99), Is.LessThanOrEqualTo(configuration.MaxWaitTime.TotalMilliseconds + LoadSimulation.FullBatchMs));
        }
    }

    [Test]
    public void Adaptive_waits_less_than_a_fixed_preference_under_light_load()
    {
        double adaptive = LoadSimulation.Run(LoadSimulation.Configuration(TimeoutStrategy.Adaptive), 0.02, TimeSpan.FromSeconds(5)).Statistics.WaitTimes.Mean;
        double partial = LoadSimulation.Run(LoadSimulation.Configuration(TimeoutStrategy.DispatchPartial), 0.02, TimeSpan.FromSeconds(5)).Statistics.WaitTimes.Mean;
        Assert.That(adaptive, Is.LessThan(0.5 * partial));
    }

    [Test]
    public void Adaptive_learns_load_and_processing_time_and_shows_its_decision()
    {
        LoadResult result = LoadSimulation.Run(LoadSimulation.Configuration(TimeoutStrategy.Adaptive), 0.8, TimeSpan.FromSeconds(3));
        AdaptiveDecision decision = result.Statistics.Adaptive!;
        Assert.Multiple(() =>
        {
            Assert.That(decision.ArrivalsPerSecond, Is.EqualTo(0.8 * LoadSimulation.Capacity).Within(5).Percent);
            Assert.That(decision.BatchOverhead.TotalMilliseconds, Is.EqualTo(LoadSimulation.OverheadMs).Within(5).Percent);
            Assert.That(decision.TimePerRequest.TotalMilliseconds, Is.EqualTo(LoadSimulation.PerRequestMs).Within(10).Percent);
            Assert.That(decision.TargetBatchSize, Is.EqualTo(45).Within(6), "λa / (1 − λb)");
        });
    }

    [Test]
    public void Adaptive_falls_back_to_single_dispatch_when_the_load_ends() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration { TimeoutStrategy = TimeoutStrategy.Adaptive, MaxConcurrentBatches = 1, MaxQueueSize = 1000 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, new FakeProcessor(clock) { Duration = requests => 5 + (0.05 * requests.Count) });
        Assert.That(batcher.GetStatistics().Adaptive!.TargetBatchSize, Is.EqualTo(configuration.PreferBatchSize), "nothing learned yet");
        await Simulated.All(Enumerable.Range(0, 1000).Select(i => batcher.ProcessAsync(i)));
        await Task.Yield();
        Assert.That(batcher.GetStatistics().Adaptive!.TargetBatchSize, Is.GreaterThan(configuration.PreferBatchSize), "a burst");

        await clock.After(20_000);
        await batcher.ProcessAsync(1);
        await Task.Yield();
        Assert.That(batcher.GetStatistics().Adaptive!.TargetBatchSize, Is.EqualTo(1));
        TimeSpan before = clock.Elapsed;
        await batcher.ProcessAsync(2);
        Assert.That((clock.Elapsed - before).TotalMilliseconds, Is.EqualTo(5.05).Within(0.001), "dispatched without waiting");
    });

    [Test]
    public void WaitForFull_waits_a_second_maximum_wait_and_no_longer() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration { TimeoutStrategy = TimeoutStrategy.WaitForFull };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, new FakeProcessor(clock));
        await Simulated.All(Enumerable.Range(0, configuration.MaxBatchSize - 1).Select(i => batcher.ProcessAsync(i)));
        Assert.That(clock.Elapsed.TotalMilliseconds, Is.EqualTo(10));
        await Simulated.All(Enumerable.Range(0, configuration.MaxBatchSize).Select(i => batcher.ProcessAsync(i)));
        Assert.That(clock.Elapsed.TotalMilliseconds, Is.EqualTo(10));
    });

    [Test]
    public void Low_priority_ages_past_a_stream_of_high_priority() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration { MaxBatchSize = 1, PreferBatchSize = 1, MaxConcurrentBatches = 1, PriorityAging = TimeSpan.FromMilliseconds(20) };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, new FakeProcessor(clock) { Duration = _ => 2 });
        Task<string>? low = null;
        for (int i = 0; i < 100; i++)
        {
            _ = batcher.ProcessAsync(i, RequestPriority.High); // one a millisecond: twice what can be served
            low ??= batcher.ProcessAsync(-1, RequestPriority.Low);
            await clock.After(1);
            if (low.IsCompleted)
            {
                break;
            }
        }

        Assert.That(low!.IsCompletedSuccessfully);
        Assert.That(clock.Elapsed.TotalMilliseconds, Is.InRange(40, 90), "two classes are worth 40 ms of waiting, then those before it");
    });
}
