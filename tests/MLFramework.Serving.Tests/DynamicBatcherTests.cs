using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

public class DynamicBatcherTests
{
    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 4, PreferBatchSize = 4, MaxConcurrentBatches = 1 };

    [Test]
    public void It_compiles_and_works_as_the_specification_writes_it() => Assert.That(
        async () =>
        {
            using var batcher = new DynamicBatcher<string, int>(
                BatchingConfiguration.Default(), requests => Task.FromResult(requests.ConvertAll(request => request.Length)));
            return await batcher.ProcessAsync("four");
        },
        Is.EqualTo(4));

    [Test]
    public void A_single_request_gets_its_response_after_the_maximum_wait() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock);
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Assert.That(await batcher.ProcessAsync(7), Is.EqualTo("7"));
        Assert.That(clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(5)));
    });

    [Test]
    public void Concurrent_requests_share_batches_and_each_caller_gets_its_own_response() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 3 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        string[] responses = await Simulated.All(Enumerable.Range(0, 10).Select(i => batcher.ProcessAsync(i)));
        Assert.That(responses, Is.EqualTo(Enumerable.Range(0, 10).Select(FakeProcessor.Of)));
        Assert.That(processor.Batches, Is.EqualTo(new int[][] { [0, 1, 2, 3], [4, 5, 6, 7], [8, 9] }));
    });

    [Test]
    public void A_full_batch_does_not_wait() => Simulated.Run(async clock =>
    {
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        await Simulated.All(Enumerable.Range(0, 4).Select(i => batcher.ProcessAsync(i)));
        Assert.That(clock.Elapsed, Is.EqualTo(TimeSpan.Zero));
    });

    [Test]
    public void The_processor_may_keep_and_change_the_list_it_is_given() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Answer = requests => { List<string> answer = requests.ConvertAll(FakeProcessor.Of); requests.Clear(); return answer; } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Assert.That(await Simulated.All(batcher.ProcessAsync(1), batcher.ProcessAsync(2)), Is.EqualTo(new[] { "1", "2" }));
    });

    [Test]
    public void A_null_element_is_a_legal_response() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Answer = requests => [.. requests.Select(_ => (string)null!)] };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Assert.That(await batcher.ProcessAsync(1), Is.Null);
    });

    [Test]
    public void A_full_queue_refuses_with_an_InvalidOperationException_and_counts_it() => Simulated.Run(async clock =>
    {
        _configuration.MaxQueueSize = 10;
        var processor = new FakeProcessor(clock) { Duration = _ => 100 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] inFlight = await SubmitAsync(batcher, clock, 0, 4);
        Task<string>[] waiting = await SubmitAsync(batcher, clock, 4, 10);

        Task<string> refused = batcher.ProcessAsync(14);

        Assert.That(refused.Exception!.InnerException, Is.InstanceOf<InvalidOperationException>().And.Message.Contains("full (10 requests wait)"));
        Assert.That(batcher.GetStatistics(), Has.Property("IsQueueFull").True.And.Property("CurrentQueueSize").EqualTo(10).And.Property("RejectedRequests").EqualTo(1));
        await Simulated.All([.. inFlight, .. waiting]);
    });

    [Test]
    public void Statistics_follow_a_request_from_queue_to_response() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 10 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Assert.That(batcher.GetStatistics(), Has.Property("IsQueueEmpty").True.And.Property("IsQueueFull").False);

        Task<string> response = batcher.ProcessAsync(1);
        Assert.That(batcher.GetStatistics(), Has.Property("CurrentQueueSize").EqualTo(1).And.Property("IsQueueEmpty").False.And.Property("ActiveBatches").EqualTo(0));

        await clock.After(7);
        Assert.That(batcher.GetStatistics(), Has.Property("CurrentQueueSize").EqualTo(0).And.Property("ActiveBatches").EqualTo(1).And.Property("CompletedRequests").EqualTo(0));

        await response;
        await clock.Settle();
        QueueStatistics end = batcher.GetStatistics();
        Assert.That(end, Has.Property("ActiveBatches").EqualTo(0).And.Property("CompletedRequests").EqualTo(1).And.Property("SubmittedRequests").EqualTo(1).And.Property("TotalBatches").EqualTo(1));
        Assert.That(end.BatchSizes.Mean, Is.EqualTo(1));
        Assert.That(end.WaitTimes.Mean, Is.EqualTo(5).Within(1e-9));
        Assert.That(end.Adaptive, Is.Null);
    });

    [Test]
    public void Batches_run_in_parallel_up_to_the_configured_number([Values(1, 2, 3)] int parallel) => Simulated.Run(async clock =>
    {
        _configuration.MaxConcurrentBatches = parallel;
        var processor = new FakeProcessor(clock) { Duration = _ => 10 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        await Simulated.All(Enumerable.Range(0, 24).Select(i => batcher.ProcessAsync(i)));
        Assert.That(processor.MaxActive, Is.EqualTo(parallel));
        Assert.That(clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(60 / parallel)));
    });

    [Test]
    public void Responses_in_order_wait_for_a_slow_predecessor([Values] bool preserveOrder) => Simulated.Run(async clock =>
    {
        _configuration.MaxConcurrentBatches = 2;
        _configuration.PreserveOrder = preserveOrder;
        var processor = new FakeProcessor(clock) { Duration = requests => requests.Contains(0) ? 20 : 5 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] slow = [.. Enumerable.Range(0, 4).Select(i => batcher.ProcessAsync(i))];
        Task<string>[] fast = [.. Enumerable.Range(4, 4).Select(i => batcher.ProcessAsync(i))];

        await clock.After(10);
        Assert.That(fast.Select(task => task.IsCompleted), Is.All.EqualTo(!preserveOrder));
        await Simulated.All(slow);
        await clock.Settle();
        Assert.That(fast.Select(task => task.IsCompleted), Is.All.True);
    });

    [Test]
    public void A_failed_batch_does_not_hold_up_the_order_of_the_next() => Simulated.Run(async clock =>
    {
        _configuration.MaxConcurrentBatches = 2;
        _configuration.PreserveOrder = true;
        var processor = new FakeProcessor(clock) { Fault = (call, _) => { if (call == 1) { throw new InvalidDataException(); } } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] all = await SubmitAsync(batcher, clock, 0, 8);
        Assert.That(all.Count(task => task.IsFaulted), Is.EqualTo(4));
        Assert.That(await all[7], Is.EqualTo("7"));
    });

    [Test]
    public void A_batch_whose_callers_have_gone_does_not_let_the_next_pass_its_predecessor() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration { MaxBatchSize = 1, PreferBatchSize = 1, MaxConcurrentBatches = 3, PreserveOrder = true };
        var processor = new FakeProcessor(clock) { Duration = requests => requests.Contains(0) ? 50 : 20 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, processor);
        using var cancellation = new CancellationTokenSource();
        Task<string> slow = batcher.ProcessAsync(0);
        _ = batcher.ProcessAsync(1, cancellation.Token);
        Task<string> last = batcher.ProcessAsync(2);
        await clock.After(10);
        cancellation.Cancel();
        await clock.After(30);
        Assert.That(last.IsCompleted, Is.False);
        await slow;
        Assert.That(await last, Is.EqualTo("2"));
    });

    [Test]
    public void A_batch_ends_where_the_cost_would_exceed_the_maximum() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration<int> { MaxBatchSize = 4, PreferBatchSize = 4, MaxConcurrentBatches = 1, MaxBatchCost = 10, CostFunction = request => request };
        var processor = new FakeProcessor(clock);
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, processor);
        await Simulated.All(((int[])[6, 4, 7, 5, 1, 1, 1, 1]).Select(i => batcher.ProcessAsync(i)));
        Assert.That(processor.Batches, Is.EqualTo(new int[][] { [6, 4], [7], [5, 1, 1, 1], [1] }));
    });

    [Test]
    public void A_batch_that_is_full_by_cost_does_not_wait() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration<int> { MaxBatchCost = 10, CostFunction = request => request };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, new FakeProcessor(clock));
        await Simulated.All(batcher.ProcessAsync(6), batcher.ProcessAsync(4));
        Assert.That(clock.Elapsed, Is.EqualTo(TimeSpan.Zero));
    });

    [Test]
    public void A_request_that_can_never_fit_is_refused_with_the_limit() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration<int> { MaxBatchCost = 10, CostFunction = request => request };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, new FakeProcessor(clock));
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(11)), Is.InstanceOf<ArgumentException>().And.Message.Contains("costs 11").And.Message.Contains("MaxBatchCost (10)"));
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(-1)), Is.InstanceOf<ArgumentException>().And.Message.Contains("costs -1"));
    });

    [Test]
    public void A_cost_function_that_throws_fails_its_own_request_only() => Simulated.Run(async clock =>
    {
        var configuration = new BatchingConfiguration<int> { CostFunction = request => request == 1 ? throw new FormatException() : 1 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, new FakeProcessor(clock));
        Task<string> bad = batcher.ProcessAsync(1);
        Assert.That(await batcher.ProcessAsync(2), Is.EqualTo("2"));
        Assert.That(bad.Exception!.InnerException, Is.TypeOf<FormatException>());
    });

    [Test]
    public void A_configuration_for_other_requests_is_refused() => Assert.That(
        () => new DynamicBatcher<int, string>(new BatchingConfiguration<string>(), requests => Task.FromResult(requests.ConvertAll(FakeProcessor.Of))),
        Throws.ArgumentException.With.Message.Contains("System.Int32"));

    [Test]
    public void Missing_or_invalid_arguments_are_refused()
    {
        BatchProcessor<int, string> processor = requests => Task.FromResult(requests.ConvertAll(FakeProcessor.Of));
        Assert.That(() => new DynamicBatcher<int, string>(null!, processor), Throws.ArgumentNullException);
        Assert.That(() => new DynamicBatcher<int, string>(new(), (BatchProcessor<int, string>)null!), Throws.ArgumentNullException);
        Assert.That(() => new DynamicBatcher<int, string>(new(), (CancellableBatchProcessor<int, string>)null!), Throws.ArgumentNullException);
        Assert.That(() => new DynamicBatcher<int, string>(new() { MaxBatchSize = 0 }, processor), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Later_changes_of_the_configuration_have_no_effect() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock);
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        _configuration.MaxBatchSize = _configuration.PreferBatchSize = 1;
        await Simulated.All(Enumerable.Range(0, 4).Select(i => batcher.ProcessAsync(i)));
        Assert.That(processor.Calls, Has.Count.EqualTo(1));
    });

    [Test]
    public void Higher_priority_goes_first_and_order_within_a_priority_is_that_of_submission() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Duration = _ => 10 };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        await SubmitAsync(batcher, clock, 0, 4); // occupies the processor
        await Simulated.All(
            batcher.ProcessAsync(10, RequestPriority.Low), batcher.ProcessAsync(11), batcher.ProcessAsync(12, RequestPriority.High),
            batcher.ProcessAsync(13, RequestPriority.Critical), batcher.ProcessAsync(14, RequestPriority.High), batcher.ProcessAsync(15));
        Assert.That(processor.Batches.Skip(1), Is.EqualTo(new int[][] { [13, 12, 14, 11], [15, 10] }));
    });

    [Test]
    public void An_undefined_priority_is_refused() => Simulated.Run(async clock =>
    {
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(1, (RequestPriority)7)), Is.InstanceOf<ArgumentOutOfRangeException>());
    });

    [Test]
    public void A_callers_continuation_does_not_delay_its_neighbours() => Simulated.Run(async clock =>
    {
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, new FakeProcessor(clock));
        Task<string>[] all = [.. Enumerable.Range(0, 4).Select(i => batcher.ProcessAsync(i))];
        bool neighboursAnswered = false;
        await all[0].ContinueWith(
            _ => neighboursAnswered = all.All(task => task.IsCompleted),
            CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.FromCurrentSynchronizationContext());
        Assert.That(neighboursAnswered, "The continuation ran inside the delivery.");
    });

    [Test]
    public void Ambient_values_of_the_creator_do_not_reach_the_processor()
    {
        var ambient = new AsyncLocal<string> { Value = "creator's" };
        string? seen = "never called";
        using var batcher = new DynamicBatcher<int, string>(
            new BatchingConfiguration { PreferBatchSize = 1 },
            requests => { seen = ambient.Value; return Task.FromResult(requests.ConvertAll(FakeProcessor.Of)); });
        Assert.That(async () => await batcher.ProcessAsync(1), Is.EqualTo("1"));
        Assert.That(seen, Is.Null);
    }

    internal static async Task<Task<string>[]> SubmitAsync(DynamicBatcher<int, string> batcher, VirtualTimeProvider clock, int first, int count)
    {
        Task<string>[] tasks = [.. Enumerable.Range(first, count).Select(i => batcher.ProcessAsync(i))];
        await clock.Settle();
        return tasks;
    }
}
