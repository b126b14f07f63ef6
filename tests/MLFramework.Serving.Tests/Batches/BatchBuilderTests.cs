using MLFramework.Simulation;

namespace MLFramework.Serving.Tests.Batches;

public class BatchBuilderTests
{
    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 4, PreferBatchSize = 2, MaxQueueSize = 10 };

    [Test]
    public async Task It_builds_a_batch_as_soon_as_the_preferred_size_waits()
    {
        using var queue = new BoundedRequestQueue<int, string>(10);
        var builder = new BatchBuilder<int, string>(queue, _configuration);
        await queue.TryEnqueueAsync(new QueuedRequest<int, string>(1));
        Task<RequestBatch<int, string>> building = builder.BuildBatchAsync();
        await queue.TryEnqueueAsync(new QueuedRequest<int, string>(2));
        RequestBatch<int, string> batch = await building;
        Assert.That(batch.GetPayloads(), Is.EqualTo(new[] { 1, 2 }));
        Assert.That(queue.IsEmpty);
    }

    [Test]
    public void It_builds_what_there_is_when_the_oldest_has_waited_long_enough() => Run(async (queue, builder, clock) =>
    {
        Task<RequestBatch<int, string>> building = builder.BuildBatchAsync();
        await clock.After(3);
        await queue.TryEnqueueAsync(new QueuedRequest<int, string>(1));
        Assert.That((await building).GetPayloads(), Is.EqualTo(new[] { 1 }));
        Assert.That(clock.Elapsed.TotalMilliseconds, Is.EqualTo(8));
    });

    [Test]
    public void Two_consumers_are_not_woken_for_one_batch() => Run(async (queue, builder, clock) =>
    {
        Task<RequestBatch<int, string>>[] building = [builder.BuildBatchAsync(), builder.BuildBatchAsync()];
        for (int i = 0; i < 4; i++)
        {
            await queue.TryEnqueueAsync(new QueuedRequest<int, string>(i));
        }

        await clock.Settle();
        Assert.That(building.Count(task => task.IsCompleted), Is.EqualTo(1));
        Assert.That(building.Single(task => task.IsCompleted).Result.Requests, Has.Count.EqualTo(4));
    });

    [Test]
    public void A_consumer_that_gives_up_passes_its_promise_on() => Run(async (queue, builder, _) =>
    {
        Task<RequestBatch<int, string>> patient = builder.BuildBatchAsync();
        using var cancellation = new CancellationTokenSource();
        Task<RequestBatch<int, string>> impatient = builder.BuildBatchAsync(cancellation.Token); // came last: woken first
        await queue.TryEnqueueAsync(new QueuedRequest<int, string>(1));
        cancellation.Cancel();
        await queue.TryEnqueueAsync(new QueuedRequest<int, string>(2));
        Assert.That((await patient).GetPayloads(), Is.EqualTo(new[] { 1, 2 }));
        Assert.That(await Simulated.ErrorOf(impatient), Is.InstanceOf<OperationCanceledException>());
    });

    [Test]
    public void A_closed_queue_gives_its_rest_and_then_empty_batches_to_every_consumer() => Run(async (queue, builder, _) =>
    {
        Task<RequestBatch<int, string>>[] building = [builder.BuildBatchAsync(), builder.BuildBatchAsync(), builder.BuildBatchAsync()];
        await queue.TryEnqueueAsync(new QueuedRequest<int, string>(1));
        queue.Close(cancelWaiting: false);
        var sizes = new List<int>();
        foreach (Task<RequestBatch<int, string>> task in building)
        {
            sizes.Add((await task).Requests.Count);
        }

        Assert.That(sizes.Order(), Is.EqualTo(new[] { 0, 0, 1 }));
        Assert.That((await builder.BuildBatchAsync()).Requests, Is.Empty);
    });

    [Test]
    public void Invalid_configurations_are_refused()
    {
        using var queue = new BoundedRequestQueue<int, string>(10);
        _configuration.PreferBatchSize = 5;
        Assert.That(() => new BatchBuilder<int, string>(queue, _configuration), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private void Run(Func<BoundedRequestQueue<int, string>, BatchBuilder<int, string>, VirtualTimeProvider, Task> test) => Simulated.Run(async clock =>
    {
        using var queue = new BoundedRequestQueue<int, string>(_configuration, new TimestampClock(clock), new RequestCounters());
        await test(queue, new BatchBuilder<int, string>(queue, _configuration), clock);
    });
}
