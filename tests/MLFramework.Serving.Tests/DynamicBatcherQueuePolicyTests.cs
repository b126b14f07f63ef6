using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

/// <summary>The processor is busy with 0–3 for 20 ms and ten requests fill the queue, before each test's own request.</summary>
public class DynamicBatcherQueuePolicyTests
{
    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 4, PreferBatchSize = 4, MaxConcurrentBatches = 1, MaxQueueSize = 10 };
    private Task<string>[] _waiting = [];

    [Test]
    public void Waiting_for_room_ends_with_a_response_when_room_comes_free() => RunOnFullQueue(QueueFullPolicy.Wait, async (batcher, _, _) =>
    {
        Task<string> late = batcher.ProcessAsync(14);
        Assert.That(batcher.GetStatistics(), Has.Property("WaitingForRoom").EqualTo(1).And.Property("CurrentQueueSize").EqualTo(10));
        Assert.That(await late, Is.EqualTo("14"));
        Assert.That(batcher.GetStatistics(), Has.Property("WaitingForRoom").EqualTo(0).And.Property("RejectedRequests").EqualTo(0));
    });

    [Test]
    public void Waiting_for_room_ends_in_a_refusal_after_the_bound() => RunOnFullQueue(QueueFullPolicy.Wait, maxEnqueueWait: 10, test: async (batcher, clock, _) =>
    {
        Task<string> first = batcher.ProcessAsync(14);
        await clock.After(4);
        Task<string> second = batcher.ProcessAsync(15);

        await clock.After(6.1);
        Assert.That(first.Exception?.InnerException, Is.TypeOf<InvalidOperationException>().And.Message.Contains("no room came free in 10 ms"));
        Assert.That(second.IsCompleted, Is.False);
        await clock.After(4);
        Assert.That(second.IsFaulted);
        Assert.That(batcher.GetStatistics(), Has.Property("WaitingForRoom").EqualTo(0).And.Property("RejectedRequests").EqualTo(2));
    });

    [Test]
    public void Waiting_for_room_can_be_cancelled() => RunOnFullQueue(QueueFullPolicy.Wait, (batcher, _, _) =>
    {
        using var cancellation = new CancellationTokenSource();
        Task<string> late = batcher.ProcessAsync(14, cancellation.Token);
        cancellation.Cancel();
        Assert.That(late.IsCanceled);
        Assert.That(batcher.GetStatistics(), Has.Property("WaitingForRoom").EqualTo(0));
        return Task.CompletedTask;
    });

    [Test]
    public void A_higher_priority_gets_the_free_room_first() => RunOnFullQueue(QueueFullPolicy.Wait, async (batcher, clock, processor) =>
    {
        Task<string> low = batcher.ProcessAsync(14, RequestPriority.Low);
        Task<string>[] high = [.. Enumerable.Range(15, 4).Select(i => batcher.ProcessAsync(i, RequestPriority.High))];
        await Simulated.All(high);
        Assert.That(processor.Batches.ElementAt(2), Is.EqualTo(new[] { 15, 16, 17, 18 }));
        Assert.That(low.IsCompleted, Is.False);
    });

    [Test]
    public void Drop_oldest_sacrifices_the_request_that_waits_longest() => RunOnFullQueue(QueueFullPolicy.DropOldest, async (batcher, _, _) =>
    {
        Task<string> newcomer = batcher.ProcessAsync(14);
        Assert.That(_waiting[0].Exception?.InnerException, Is.TypeOf<RequestDroppedException>());
        Assert.That(batcher.GetStatistics(), Has.Property("CurrentQueueSize").EqualTo(10).And.Property("DroppedRequests").EqualTo(1));
        Assert.That(await newcomer, Is.EqualTo("14"));
        Assert.That(await Simulated.All(_waiting[1..]), Is.EqualTo(Enumerable.Range(5, 9).Select(FakeProcessor.Of)));
    });

    [Test]
    public void Drop_oldest_never_drops_for_a_lower_priority() => RunOnFullQueue(QueueFullPolicy.DropOldest, (batcher, _, _) =>
    {
        Task<string> newcomer = batcher.ProcessAsync(14, RequestPriority.Low);
        Assert.That(newcomer.Exception?.InnerException, Is.TypeOf<InvalidOperationException>());
        Assert.That(_waiting.Any(task => task.IsCompleted), Is.False);
        return Task.CompletedTask;
    });

    private void RunOnFullQueue(
        QueueFullPolicy policy, Func<DynamicBatcher<int, string>, VirtualTimeProvider, FakeProcessor, Task> test, double maxEnqueueWait = 1000) => Simulated.Run(async clock =>
    {
        _configuration.QueueFullPolicy = policy;
        _configuration.MaxEnqueueWait = TimeSpan.FromMilliseconds(maxEnqueueWait);
        var processor = new FakeProcessor(clock) { Duration = _ => 20 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 4);
        _waiting = await DynamicBatcherTests.SubmitAsync(batcher, clock, 4, 10);
        await test(batcher, clock, processor);
    });
}
