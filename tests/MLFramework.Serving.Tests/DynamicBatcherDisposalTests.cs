using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

public class DynamicBatcherDisposalTests
{
    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 4, PreferBatchSize = 4, MaxConcurrentBatches = 2, DrainTimeout = TimeSpan.FromMilliseconds(100) };

    [Test]
    public void DisposeAsync_answers_everybody_without_holding_anything_back() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 10 };
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] all = [.. Enumerable.Range(0, 18).Select(i => batcher.ProcessAsync(i))];
        await batcher.DisposeAsync();
        Assert.That(all.Select(task => task.IsCompletedSuccessfully), Is.All.True);
        Assert.That(clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(30)), "five batches, two at a time, the last not held for company");
    });

    [Test]
    public void DisposeAsync_of_an_idle_batcher_takes_no_time_and_leaves_no_timer() => Simulated.Run(async clock =>
    {
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        await batcher.ProcessAsync(1);
        TimeSpan before = clock.Elapsed;
        await batcher.DisposeAsync();
        Assert.That(clock.Elapsed, Is.EqualTo(before));
        await Task.Yield(); // the drain's own timer is freed after its task has completed
        Assert.That(clock.NextDue, Is.Null);
    });

    [Test]
    public void DisposeAsync_cancels_what_outlives_the_drain_timeout([Values] bool ordered) => Simulated.Run(async clock =>
    {
        _configuration.PreserveOrder = ordered;
        var processor = new FakeProcessor(clock) { Duration = _ => 70 };
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] all = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 20);
        await batcher.DisposeAsync();
        Assert.That(clock.Elapsed.TotalMilliseconds, Is.EqualTo(100).Within(0.01));
        Assert.That(all[..8].Select(task => task.IsCompletedSuccessfully), Is.All.True);
        Assert.That(all[8..].Select(task => task.IsCanceled), Is.All.True);
        await clock.Settle();
        Assert.That(processor.LastToken.IsCancellationRequested, "the processor is told too");
    });

    [Test]
    public void A_processor_that_never_ends_does_not_keep_its_callers() => Simulated.Run(async clock =>
    {
        var never = new TaskCompletionSource<List<string>>();
        var batcher = new DynamicBatcher<int, string>(_configuration, (List<int> _) => never.Task, clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());
        Task<string>[] all = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 20);
        await batcher.DisposeAsync();
        Assert.That(all.Select(task => task.IsCanceled), Is.All.True);
    });

    [Test]
    public void Dispose_returns_at_once_cancels_what_waits_and_lets_what_runs_deliver() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 50 };
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] inFlight = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        Task<string>[] waiting = await DynamicBatcherTests.SubmitAsync(batcher, clock, 8, 4);
        TimeSpan before = clock.Elapsed;
        batcher.Dispose();
        Assert.That(clock.Elapsed, Is.EqualTo(before));
        Assert.That(waiting.Select(task => task.IsCanceled), Is.All.True);
        Assert.That(await Simulated.All(inFlight), Has.Length.EqualTo(8));
    });

    [Test]
    public void After_Dispose_a_processor_that_never_ends_loses_its_callers_to_the_drain_timeout() => Simulated.Run(async clock =>
    {
        var never = new TaskCompletionSource<List<string>>();
        var batcher = new DynamicBatcher<int, string>(_configuration, (List<int> _) => never.Task, clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());
        Task<string>[] inFlight = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 4);
        batcher.Dispose();
        await clock.After(101);
        Assert.That(inFlight.Select(task => task.IsCanceled), Is.All.True);
    });

    [Test]
    public void A_disposed_batcher_refuses_requests() => Simulated.Run(async clock =>
    {
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        await batcher.DisposeAsync();
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(1)), Is.InstanceOf<ObjectDisposedException>());
    });

    [Test]
    public void Disposing_twice_in_any_order_is_harmless([Values] bool firstAsync, [Values] bool secondAsync) => Simulated.Run(async clock =>
    {
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock) { Duration = _ => 10 });
        Task<string>[] inFlight = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        Task<string>[] waiting = await DynamicBatcherTests.SubmitAsync(batcher, clock, 8, 4);
        foreach (bool async in (bool[])[firstAsync, secondAsync])
        {
            if (async)
            {
                await batcher.DisposeAsync();
            }
            else
            {
                batcher.Dispose();
            }
        }

        await clock.After(20);
        Assert.That(inFlight.Select(task => task.IsCompletedSuccessfully), Is.All.True);
        Assert.That(waiting.Select(task => task.IsCanceled), Is.All.EqualTo(!firstAsync));
    });

    [Test]
    public void Whoever_waits_for_room_is_answered_by_a_drain_too() => Simulated.Run(async clock =>
    {
        _configuration.QueueFullPolicy = QueueFullPolicy.Wait;
        _configuration.MaxQueueSize = 10;
        DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock) { Duration = _ => 10 });
        Task<string>[] all = [.. Enumerable.Range(0, 30).Select(i => batcher.ProcessAsync(i))];
        await batcher.DisposeAsync();
        Assert.That(all.Select(task => task.IsCompletedSuccessfully), Is.All.True);
    });
}
