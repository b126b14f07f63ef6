using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

public class DynamicBatcherCancellationTests
{
    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 4, PreferBatchSize = 4, MaxConcurrentBatches = 1 };

    [Test]
    public void A_waiting_request_leaves_the_queue_when_its_caller_cancels() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock);
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        using var cancellation = new CancellationTokenSource();
        Task<string> cancelled = batcher.ProcessAsync(1, cancellation.Token);
        Task<string> neighbour = batcher.ProcessAsync(2);

        cancellation.Cancel();

        Assert.That(batcher.GetStatistics(), Has.Property("CurrentQueueSize").EqualTo(1).And.Property("CancelledRequests").EqualTo(1));
        Assert.That(await Simulated.ErrorOf(cancelled), Is.InstanceOf<OperationCanceledException>().And.Property("CancellationToken").EqualTo(cancellation.Token));
        Assert.That(await neighbour, Is.EqualTo("2"));
        Assert.That(processor.Batches, Is.EqualTo(new int[][] { [2] }));
    });

    [Test]
    public void A_batch_whose_callers_have_all_gone_is_not_formed() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock);
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        using var cancellation = new CancellationTokenSource();
        _ = batcher.ProcessAsync(1, cancellation.Token);
        cancellation.Cancel();
        await clock.After(50);
        Assert.That(processor.Calls, Is.Empty);
    });

    [Test]
    public void In_flight_the_caller_is_released_at_once_and_the_late_response_discarded() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 20 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        using var cancellation = new CancellationTokenSource();
        Task<string> cancelled = batcher.ProcessAsync(1, cancellation.Token);
        Task<string> neighbour = batcher.ProcessAsync(2);
        await clock.After(10);

        cancellation.Cancel();

        Assert.That(cancelled.IsCanceled);
        Assert.That(await neighbour, Is.EqualTo("2"));
        Assert.That(batcher.GetStatistics(), Has.Property("CompletedRequests").EqualTo(1).And.Property("CancelledRequests").EqualTo(1));
    });

    [Test]
    public void A_request_cancelled_between_queue_and_processor_is_dropped_from_its_batch() => Simulated.Run(async clock =>
    {
        using var cancellation = new CancellationTokenSource();
        var processor = new FakeProcessor(clock);
        processor.Fault = (call, _) =>
        {
            if (call == 1)
            {
                cancellation.Cancel();
                throw new InvalidDataException();
            }
        };
        _configuration.MaxRetries = 1;
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string> cancelled = batcher.ProcessAsync(1, cancellation.Token);
        Assert.That(await batcher.ProcessAsync(2), Is.EqualTo("2"));
        Assert.That(cancelled.IsCanceled);
        Assert.That(processor.Batches, Is.EqualTo(new int[][] { [1, 2], [2] }));
    });

    [Test]
    public void A_token_that_has_fired_already_submits_nothing() => Simulated.Run(async clock =>
    {
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        Assert.That(batcher.ProcessAsync(1, new CancellationToken(canceled: true)).IsCanceled);
        Assert.That(batcher.GetStatistics().SubmittedRequests, Is.Zero);
    });

    [Test]
    public void The_processor_is_told_when_the_last_caller_has_gone() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 1000 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        using var first = new CancellationTokenSource();
        using var second = new CancellationTokenSource();
        Task<string>[] tasks = [batcher.ProcessAsync(1, first.Token), batcher.ProcessAsync(2, second.Token)];
        await clock.After(10);

        first.Cancel();
        await clock.After(10);
        Assert.That(batcher.GetStatistics().ActiveBatches, Is.EqualTo(1), "one caller still waits");

        second.Cancel();
        await clock.Settle();
        Assert.That(processor.LastToken.IsCancellationRequested);
        Assert.That(tasks.Select(task => task.IsCanceled), Is.All.True);
    });

    [Test]
    public void A_timed_out_request_leaves_the_queue_unprocessed() => Simulated.Run(async clock =>
    {
        _configuration.RequestTimeout = TimeSpan.FromMilliseconds(15);
        var processor = new FakeProcessor(clock) { Duration = _ => 14, IgnoresCancellation = true };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] first = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 4);
        Task<string>[] second = await DynamicBatcherTests.SubmitAsync(batcher, clock, 4, 4);
        Task<string> third = batcher.ProcessAsync(8); // the two batches before it take 28 ms

        Assert.That(await Simulated.ErrorOf(third), Is.TypeOf<TimeoutException>());
        Assert.That(clock.Elapsed.TotalMilliseconds, Is.EqualTo(15).Within(0.01));
        Assert.That(batcher.GetStatistics(), Has.Property("CurrentQueueSize").EqualTo(0).And.Property("TimedOutRequests").EqualTo(5), "the second batch times out in flight");
        await clock.After(50);
        Assert.That(processor.Batches, Is.EqualTo(new int[][] { [0, 1, 2, 3], [4, 5, 6, 7] }));
        Assert.That(first.Select(task => task.IsCompletedSuccessfully), Is.All.True);
        Assert.That(second.Select(task => task.IsFaulted), Is.All.True);
    });

    [Test]
    public void Under_Continue_a_late_request_is_answered_and_counted() => Simulated.Run(async clock =>
    {
        _configuration.RequestTimeout = TimeSpan.FromMilliseconds(10);
        _configuration.RequestTimeoutAction = RequestTimeoutAction.Continue;
        var processor = new FakeProcessor(clock) { Duration = _ => 50 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Assert.That(await batcher.ProcessAsync(1), Is.EqualTo("1"));
        Assert.That(batcher.GetStatistics(), Has.Property("OverdueRequests").EqualTo(1).And.Property("TimedOutRequests").EqualTo(0));
    });

    [Test]
    public void An_answered_request_leaves_no_timer_and_no_registration_behind() => Simulated.Run(async clock =>
    {
        _configuration.RequestTimeout = TimeSpan.FromHours(1);
        _configuration.PreferBatchSize = 1;
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        using var cancellation = new CancellationTokenSource();
        Assert.That(await batcher.ProcessAsync(1, cancellation.Token), Is.EqualTo("1"));
        await clock.After(10);
        Assert.That(clock.NextDue, Is.Null);
        cancellation.Cancel();
        Assert.That(batcher.GetStatistics().CancelledRequests, Is.Zero);
    });
}
