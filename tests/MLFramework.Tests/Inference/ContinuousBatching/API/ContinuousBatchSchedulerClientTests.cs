using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.API;

/// <summary>
/// The client over a scheduler driven by hand in virtual time: calls are made, iterations run, answers awaited.
/// </summary>
public class ContinuousBatchSchedulerClientTests
{
    private static readonly TimeSpan s_step = TimeSpan.FromMilliseconds(10);

    // ---- GenerateTextAsync ----

    [Test]
    public async Task Generating_enqueues_the_request_and_returns_its_text()
    {
        using var rig = new SchedulerRig();
        rig.Model.Script["The capital of France is"] = [WordTokenizer.Word(" Paris"), WordTokenizer.Eos];
        Task<string> text = rig.Client.GenerateTextAsync("The capital of France is", 10);
        Assert.That(rig.Queue.Count, Is.EqualTo(1));
        Assert.That(text.IsCompleted, Is.False);
        rig.RunDry();
        Assert.That(await text, Is.EqualTo(" Paris"));
    }

    [Test]
    public async Task The_given_priority_and_options_are_the_requests()
    {
        using var rig = new SchedulerRig(constraints: OneAtATime);
        GenerationOptions options = GenerationOptions.Default with { Seed = 5, EchoPrompt = true };
        Task<string> text = rig.Client.GenerateTextAsync("prompt", 3, priority: Priority.High, options: options);
        Request request = rig.Queue.Snapshot().Single().Request;
        Assert.That((request.Priority, request.Options, request.MaxTokens), Is.EqualTo((Priority.High, options, 3)));
        rig.RunDry();
        Assert.That(await text, Does.StartWith("prompt").And.Length.EqualTo("prompt".Length + 3));
    }

    [Test]
    public async Task Cancelling_the_token_cancels_the_call()
    {
        using var rig = new SchedulerRig();
        using var source = new CancellationTokenSource();
        Task<string> text = rig.Client.GenerateTextAsync("prompt", cancellationToken: source.Token);
        rig.Iterate();
        await source.CancelAsync();
        await Assert.ThrowsAsync<TaskCanceledException>(() => text);
        rig.AssertIdle();
    }

    [Test]
    public async Task A_token_that_has_fired_cancels_the_call_before_anything_is_enqueued()
    {
        using var rig = new SchedulerRig();
        await Assert.CatchAsync<OperationCanceledException>(() => rig.Client.GenerateTextAsync("prompt", cancellationToken: new CancellationToken(true)));
        rig.AssertIdle();
    }

    [Test]
    public async Task The_models_error_is_the_callers()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor(_ => throw new InvalidDataException("The model's own.")));
        Task<string> text = rig.Client.GenerateTextAsync("prompt");
        rig.RunDry();
        Assert.That((await Assert.ThrowsAsync<InvalidDataException>(() => text))!.Message, Is.EqualTo("The model's own."));
    }

    [Test]
    public async Task Bad_input_is_refused_in_words_that_help()
    {
        using var rig = new SchedulerRig();
        ContinuousBatchSchedulerClient client = rig.Client;
        await Assert.ThatAsync(() => client.GenerateTextAsync(null!), Throws.ArgumentNullException);
        await Assert.ThatAsync(() => client.GenerateTextAsync(string.Empty), Throws.ArgumentException.With.Message.Contains("prompt is empty"));
        await Assert.ThatAsync(() => client.GenerateTextAsync("p", 0), Throws.ArgumentException.With.Message.Contains("at least one token"));
        await Assert.ThatAsync(() => client.GenerateTextAsync("p", -5), Throws.ArgumentException.With.Message.Contains("-5"));
        await Assert.ThatAsync(() => client.GenerateTextAsync(new string('x', 2000)), Throws.TypeOf<PromptTooLongException>().With.Message.Contains("1023"));
        await Assert.ThatAsync(
            () => client.GenerateTextAsync("p", options: GenerationOptions.Default with { Temperature = 3 }),
            Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("Temperature"));
        await Assert.ThatAsync(
            () => client.GenerateTextAsync("p", options: GenerationOptions.Default with { Grammar = "root ::= 'a'" }),
            Throws.TypeOf<NotSupportedException>().With.Message.Contains("Grammar"));
        rig.AssertIdle();
    }

    [TestCase(-1)]
    [TestCase(4)]
    public async Task A_priority_that_is_none_of_the_four_is_refused(int priority)
    {
        using var rig = new SchedulerRig();
        await Assert.ThatAsync(() => rig.Client.GenerateTextAsync("p", priority: (Priority)priority), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => rig.Client.EstimateWaitTime((Priority)priority), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public async Task A_response_comes_with_its_counts_and_times()
    {
        using var rig = new SchedulerRig();
        Task<GenerationResult> response = rig.Client.GenerateAsync("prompt", maxTokens: 3);
        rig.RunDry();
        GenerationResult result = await response;
        Assert.That((result.TokensGenerated, result.Reason, result.PromptTokens), Is.EqualTo((3, CompletionReason.MaxTokensReached, 6)));
        Assert.That((result.ProcessingTime, result.QueueTime, result.TimeToFirstToken), Is.EqualTo((3 * s_step, TimeSpan.Zero, (TimeSpan?)s_step)));
        Assert.That(result.Error, Is.Null);
    }

    [Test]
    public async Task Callers_that_state_no_token_limit_get_the_configured_one()
    {
        using var rig = new SchedulerRig(client: SchedulerApiClientConfiguration.Default with { DefaultMaxTokens = 7 });
        Task<GenerationResult> response = rig.Client.GenerateAsync("prompt");
        rig.RunDry();
        Assert.That((await response).TokensGenerated, Is.EqualTo(7));
    }

    [Test]
    public async Task A_callers_continuation_never_runs_on_the_thread_that_drives_the_engine()
    {
        using var rig = new SchedulerRig();
        Thread? continuedOn = null;
        Task continued = rig.Client.GenerateTextAsync("prompt", 1).ContinueWith(
            _ => continuedOn = Thread.CurrentThread, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        var engine = new Thread(() => rig.RunDry());
        engine.Start();
        engine.Join();
        await continued;
        Assert.That(continuedOn, Is.Not.SameAs(engine));
    }

    // ---- EnqueueRequestAsync ----

    [Test]
    public async Task A_request_of_the_callers_own_making_goes_to_the_scheduler_with_the_higher_priority()
    {
        using var rig = new SchedulerRig(constraints: OneAtATime);
        Request low = rig.NewRequest("low", 1, Priority.Low);
        Request raised = rig.NewRequest("raised", 1, Priority.Low);
        Task<string> lowText = rig.Client.EnqueueRequestAsync(low);
        Task<string> raisedText = rig.Client.EnqueueRequestAsync(raised, Priority.Urgent);
        rig.RunDry();
        Assert.That(await raisedText, Is.EqualTo(raised.Result!.GeneratedText));
        Assert.That(await lowText, Is.EqualTo(low.Result!.GeneratedText));
        Assert.That(low.Result!.QueueTime, Is.GreaterThan(raised.Result!.QueueTime));
    }

    [Test]
    public async Task A_request_serves_once()
    {
        using var rig = new SchedulerRig();
        Request request = rig.NewRequest();
        Task<string> first = rig.Client.EnqueueRequestAsync(request);
        await Assert.ThatAsync(() => rig.Client.EnqueueRequestAsync(request), Throws.ArgumentException.With.Message.Contains("serves once"));
        rig.RunDry();
        Assert.That(await first, Has.Length.EqualTo(4));
        await Assert.ThatAsync(() => rig.Client.EnqueueRequestAsync(request), Throws.ArgumentException);
    }

    [Test]
    public void Null_is_no_request()
    {
        using var rig = new SchedulerRig();
        Assert.That(() => rig.Client.EnqueueRequestAsync(null!), Throws.ArgumentNullException);
    }

    // ---- GenerateBatchAsync ----

    [Test]
    public async Task A_batch_returns_its_results_in_the_order_of_its_requests_with_real_ids_and_metadata()
    {
        using var rig = new SchedulerRig();
        List<GenerationRequest> requests = [.. Enumerable.Range(1, 5).Select(i => new GenerationRequest($"prompt {i}", i, Metadata: new() { ["i"] = i }))];
        Task<List<GenerationResult>> batch = rig.Client.GenerateBatchAsync(requests);
        rig.RunDry();
        List<GenerationResult> results = await batch;
        Assert.That(results.Select(r => r.TokensGenerated), Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
        Assert.That(results.Select(r => r.Metadata!["i"]), Is.EqualTo(new object[] { 1, 2, 3, 4, 5 }));
        Assert.That(results.Select(r => r.RequestId), Is.Unique.And.No.Member(RequestId.Empty));
        Assert.That(results.Select(r => r.ProcessingTime), Is.EqualTo(Enumerable.Range(1, 5).Select(i => i * s_step)));
    }

    [Test]
    public async Task In_a_batch_each_succeeds_or_fails_alone_and_says_why()
    {
        using var rig = new SchedulerRig();
        rig.Model.BeforeStep = batch =>
        {
            if (batch.Requests.Exists(r => r.Prompt == "poison"))
            {
                throw new InvalidDataException("Its own error.");
            }
        };
        using var source = new CancellationTokenSource();
        Task<List<GenerationResult>> running = rig.Client.GenerateBatchAsync(
        [
            new GenerationRequest("good", 4),
            new GenerationRequest("poison", 4),
            new GenerationRequest(string.Empty, 4),
            new GenerationRequest("cancelled", 500, CancellationToken: source.Token),
            new GenerationRequest("too little time", 500, Options: GenerationOptions.Default with { TimeLimit = TimeSpan.FromSeconds(1) }),
        ]);
        rig.Iterate();
        await source.CancelAsync();
        rig.RunDry();
        List<GenerationResult> results = await running;
        Assert.That(results.Select(r => r.Reason), Is.EqualTo(new[]
        {
            CompletionReason.MaxTokensReached, CompletionReason.Failed, CompletionReason.Failed, CompletionReason.Cancelled, CompletionReason.Timeout,
        }));
        Assert.That(results[0].Error, Is.Null);
        Assert.That(results[1].Error, Is.EqualTo("Its own error."));
        Assert.That(results[2].Error, Does.Contain("prompt is empty"));
        Assert.That(results[4].Error, Does.Contain("time limit"));
        Assert.That(results.Select(r => r.RequestId), Is.Unique.And.No.Member(RequestId.Empty));
        rig.AssertIdle();
    }

    [Test]
    public async Task Cancelling_a_batch_cancels_all_of_it()
    {
        using var rig = new SchedulerRig(constraints: OneAtATime);
        using var source = new CancellationTokenSource();
        Task<List<GenerationResult>> running = rig.Client.GenerateBatchAsync([new("one", 50), new("two", 50), new("three", 50)], source.Token);
        rig.Iterate();
        await source.CancelAsync();
        Assert.That((await running).Select(r => r.Reason), Is.All.EqualTo(CompletionReason.Cancelled));
        rig.AssertIdle();
    }

    [Test]
    public async Task An_empty_batch_has_no_results()
    {
        using var rig = new SchedulerRig();
        Assert.That(await rig.Client.GenerateBatchAsync([]), Is.Empty);
    }

    [Test]
    public async Task A_batch_with_a_null_in_it_starts_nothing()
    {
        using var rig = new SchedulerRig();
        await Assert.ThatAsync(() => rig.Client.GenerateBatchAsync(null!), Throws.ArgumentNullException);
        await Assert.ThatAsync(() => rig.Client.GenerateBatchAsync([new("good"), null!]), Throws.ArgumentNullException);
        Assert.That(rig.Queue.IsEmpty);
    }

    // ---- GetStatus ----

    [Test]
    public void The_status_tells_where_requests_are_and_what_is_used()
    {
        using var rig = new SchedulerRig(
            constraints: new BatchConstraints(MaxBatchSize: 2, MinBatchSize: 1, MaxSequenceLength: 100), cache: new KVCacheConfiguration(10));
        SchedulerStatus before = rig.Client.GetStatus();
        Assert.That(before, Is.EqualTo(new SchedulerStatus(false, 0, 0, 0, 0, 0, rig.Clock.GetUtcNow().UtcDateTime)));
        for (int i = 0; i < 5; i++)
        {
            rig.Enqueue($"prompt {i}", maxTokens: 2);
        }

        rig.Iterate();
        SchedulerStatus during = rig.Client.GetStatus();
        Assert.That(during, Is.EqualTo(new SchedulerStatus(false, 2, 3, 0, 100, 20, rig.Clock.GetUtcNow().UtcDateTime)));
        rig.RunDry();
        rig.Clock.Advance(TimeSpan.FromSeconds(1) - rig.Clock.Elapsed);
        SchedulerStatus after = rig.Client.GetStatus();
        Assert.That((after.ActiveRequests, after.QueuedRequests, after.CompletedRequests, after.MemoryUtilization), Is.EqualTo((0, 0, 5, 0.0)));
        Assert.That(after.GpuUtilization, Is.EqualTo(6).Within(0.1), "Six steps of 10 ms in a second.");
    }

    [Test]
    public void The_status_of_an_opaque_cache_is_its_bytes_over_the_limit()
    {
        using var rig = new SchedulerRig(
            constraints: new BatchConstraints(MaxBatchSize: 2, MaxMemoryBytes: 1000, MinBatchSize: 1, MaxSequenceLength: 100), cacheManager: new FixedUsage(250));
        Assert.That(rig.Client.GetStatus().MemoryUtilization, Is.EqualTo(25));
    }

    [Test]
    public void The_status_may_be_read_while_the_loop_runs()
    {
        using var rig = new SchedulerRig();
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            using var stop = new CancellationTokenSource();
            Task reader = Task.Run(() =>
            {
                while (!stop.IsCancellationRequested)
                {
                    SchedulerStatus status = rig.Client.GetStatus();
                    Assert.That(status.ActiveRequests, Is.InRange(0, 8));
                    Assert.That(rig.Client.GetStatistics().TotalRequests, Is.InRange(0, 50));
                    rig.Client.EstimateWaitTime();
                }
            });
            List<Request> requests = [.. Enumerable.Range(0, 50).Select(_ => rig.Enqueue(maxTokens: 20))];
            foreach (Request request in requests)
            {
                await request.EndAsync();
            }

            stop.Cancel();
            Task stopped = rig.Scheduler.StopAsync();
            reader.GetAwaiter().GetResult();
            await stopped;
        });
        Assert.That(rig.Client.GetStatus().CompletedRequests, Is.EqualTo(50));
    }

    // ---- GetStatistics ----

    [Test]
    public void Statistics_are_measured()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 4, MinBatchSize: 1, MaxSequenceLength: 1024));
        DateTime start = rig.Clock.GetUtcNow().UtcDateTime;
        Request cancelled = rig.NewRequest("cancelled", 500);
        rig.Enqueue(cancelled);
        rig.Enqueue("one", 10);
        rig.Enqueue("two", 20);
        rig.Enqueue(rig.NewRequest("late", 500, deadline: 30 * s_step));
        for (int i = 0; i < 5; i++)
        {
            rig.Iterate();
        }

        rig.Client.CancelRequest(cancelled.Id);
        rig.RunDry();
        rig.Clock.Advance(TimeSpan.FromSeconds(1) - rig.Clock.Elapsed);
        SchedulerStatistics statistics = rig.Client.GetStatistics();
        Assert.That(
            (statistics.TotalRequests, statistics.TotalCompletedRequests, statistics.TotalFailedRequests, statistics.TotalCancelledRequests),
            Is.EqualTo((4, 2, 1, 1)));
        Assert.That(statistics.TotalProcessingTime, Is.EqualTo((5 + 10 + 20 + 30) * s_step));
        Assert.That(statistics.AverageRequestsPerSecond, Is.EqualTo(4).Within(1e-9));
        Assert.That(statistics.AverageTokensPerSecond, Is.EqualTo(5 + 10 + 20 + 30).Within(1e-9));

        // 100, 200 and 300 ms: what was cancelled has no latency.
        Assert.That(statistics.P50Latency, Is.EqualTo(200).Within(1e-9));
        Assert.That(statistics.P95Latency, Is.EqualTo(290).Within(1e-9));
        Assert.That(statistics.P99Latency, Is.EqualTo(298).Within(1e-9));
        Assert.That(statistics.AverageBatchUtilization, Is.EqualTo(100.0 * (5 + 10 + 20 + 30) / 30 / 4).Within(1e-9));
        Assert.That(statistics.StartTime, Is.EqualTo(start));
    }

    [Test]
    public void Statistics_of_nothing_are_zero()
    {
        using var rig = new SchedulerRig();
        SchedulerStatistics statistics = rig.Client.GetStatistics();
        Assert.That(statistics, Is.EqualTo(new SchedulerStatistics(0, 0, 0, 0, TimeSpan.Zero, 0, 0, 0, 0, 0, 0, rig.Clock.GetUtcNow().UtcDateTime)));
    }

    [Test]
    public void Statistics_that_are_switched_off_are_not_invented()
    {
        using var rig = new SchedulerRig(client: SchedulerApiClientConfiguration.Default with { EnableStatisticsCollection = false });
        Assert.That(rig.Client.GetStatistics, Throws.InvalidOperationException.With.Message.Contains("EnableStatisticsCollection"));
    }

    // ---- EstimateWaitTime ----

    [Test]
    public void Without_data_there_is_no_estimate()
    {
        using var rig = new SchedulerRig();
        Assert.That(rig.Client.EstimateWaitTime(), Is.Null);
    }

    [Test]
    public void The_estimate_counts_those_ahead_by_priority_and_comes_true()
    {
        using var rig = new SchedulerRig(constraints: OneAtATime, configuration: SchedulerConfiguration.Default with { WarmupIterations = 0 });
        for (int i = 0; i < 10; i++)
        {
            rig.Enqueue($"prompt {i}", 5);
        }

        for (int i = 0; i < 27; i++)
        {
            rig.Iterate();
        }

        TimeSpan normal = rig.Client.EstimateWaitTime()!.Value;
        TimeSpan urgent = rig.Client.EstimateWaitTime(Priority.Urgent)!.Value;
        Assert.That(urgent, Is.LessThan(normal));
        Request behind = rig.Enqueue("behind all", 1);
        rig.RunDry();
        Assert.That(normal.TotalSeconds, Is.EqualTo(behind.Result!.QueueTime.TotalSeconds).Within(25).Percent);
    }

    [Test]
    public void An_idle_scheduler_is_estimated_to_start_at_once()
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { WarmupIterations = 0 });
        rig.Enqueue(maxTokens: 3);
        rig.RunDry();
        Assert.That(rig.Client.EstimateWaitTime(), Is.EqualTo(TimeSpan.Zero));
    }

    // ---- Time limits ----

    [Test]
    public void While_nothing_is_known_a_request_has_no_time_limit()
    {
        using var rig = new SchedulerRig();
        _ = rig.Client.GenerateTextAsync("prompt", 5);
        Assert.That(rig.Queue.Snapshot().Single().LimitTimestamp, Is.EqualTo(long.MaxValue));
    }

    [TestCase(1.5, 1.5)]
    [TestCase(4.0, 4.0)]
    public void A_known_scheduler_gives_a_request_the_multiple_of_its_estimated_time(double multiplier, double expected)
    {
        using var rig = new SchedulerRig(
            configuration: SchedulerConfiguration.Default with { WarmupIterations = 0 },
            client: SchedulerApiClientConfiguration.Default with { TimeoutMultiplier = multiplier });
        rig.Model.StepTime = _ => TimeSpan.FromMilliseconds(500);
        rig.Enqueue(maxTokens: 4);
        rig.RunDry();
        _ = rig.Client.GenerateTextAsync("prompt", 1000);
        Assert.That(LimitOfWaiting(rig), Is.EqualTo(TimeSpan.FromSeconds(500 * expected)));
    }

    [Test]
    public void No_limit_is_under_sixty_seconds()
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { WarmupIterations = 0 });
        rig.Enqueue(maxTokens: 4);
        rig.RunDry();
        _ = rig.Client.GenerateTextAsync("prompt", 1);
        Assert.That(LimitOfWaiting(rig), Is.EqualTo(TimeSpan.FromSeconds(60)));
    }

    [Test]
    public void A_limit_or_deadline_of_the_callers_own_is_not_touched()
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { WarmupIterations = 0 });
        rig.Enqueue(maxTokens: 4);
        rig.RunDry();
        _ = rig.Client.GenerateTextAsync("prompt", 1, options: GenerationOptions.Default with { TimeLimit = TimeSpan.FromSeconds(3) });
        Assert.That(LimitOfWaiting(rig), Is.EqualTo(TimeSpan.FromSeconds(3)));
        rig.RunDry();
        _ = rig.Client.EnqueueRequestAsync(rig.NewRequest(deadline: TimeSpan.FromSeconds(5)));
        Assert.That(LimitOfWaiting(rig), Is.EqualTo(TimeSpan.FromSeconds(5)));
    }

    // ---- MaxConcurrentEnqueue ----

    [TestCase(1)]
    [TestCase(3)]
    public async Task No_more_calls_than_configured_are_being_admitted_at_once_and_none_is_lost(int most)
    {
        var tokenizer = new GatedTokenizer();
        using var rig = new SchedulerRig(tokenizer: tokenizer, client: SchedulerApiClientConfiguration.Default with { MaxConcurrentEnqueue = most });
        List<Task> calls = [.. Enumerable.Range(0, 8).Select(i => Task.Factory.StartNew(
            () => rig.Client.GenerateTextAsync($"prompt {i}", 1), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap())];
        tokenizer.AwaitInside(most);
        Assert.That(tokenizer.Inside, Is.EqualTo(most));
        tokenizer.Open();
        while (!calls.TrueForAll(c => c.IsCompleted))
        {
            rig.RunDry();
            await Task.Yield();
        }

        Assert.That(tokenizer.MostInside, Is.EqualTo(most));
        Assert.That(rig.Client.GetStatistics().TotalCompletedRequests, Is.EqualTo(8));
    }

    // ---- Logging, disposal, construction ----

    [TestCase(true)]
    [TestCase(false)]
    public async Task Requests_are_logged_if_and_only_if_that_is_switched_on(bool enabled)
    {
        using var rig = new SchedulerRig();
        var log = new ListLogger();
        using var client = new ContinuousBatchSchedulerClient(
            rig.Scheduler, SchedulerApiClientConfiguration.Default with { EnableRequestLogging = enabled }, log);
        Task<string> text = client.GenerateTextAsync("a prompt", 2);
        Task batch = client.GenerateBatchAsync([new GenerationRequest("another", 1)]);
        rig.RunDry();
        await text;
        await batch;
        client.CancelRequest(RequestId.New());
        client.CancelAllRequests();
        if (!enabled)
        {
            Assert.That(log.Messages, Is.Empty);
            return;
        }

        Assert.That(log.Messages, Has.Some.Contains("prompt of 8 characters, at most 2 tokens"));
        Assert.That(log.Messages, Has.Some.Contains("a batch of 1 requests"));
        Assert.That(log.Messages, Has.Exactly(2).Contains("ended (MaxTokensReached)"));
        Assert.That(log.Messages, Has.Some.StartsWith("Cancelling request"));
        Assert.That(log.Messages, Has.Some.EqualTo("Cancelled all 0 requests"));
        Assert.That(log.Messages, Has.None.Contains("a prompt"), "What users write is not logged.");
    }

    [Test]
    public async Task A_disposed_client_refuses_calls_and_lets_those_under_way_finish()
    {
        using var rig = new SchedulerRig();
        Task<string> underWay = rig.Client.GenerateTextAsync("prompt", 2);
        rig.Client.Dispose();
        rig.Client.Dispose();
        await Assert.ThatAsync(() => rig.Client.GenerateTextAsync("prompt"), Throws.TypeOf<ObjectDisposedException>());
        await Assert.ThatAsync(() => rig.Client.GenerateBatchAsync([new GenerationRequest("prompt")]), Throws.TypeOf<ObjectDisposedException>());
        rig.RunDry();
        Assert.That(await underWay, Has.Length.EqualTo(2));
    }

    [Test]
    public async Task A_disposed_scheduler_refuses_through_the_client()
    {
        using var rig = new SchedulerRig();
        rig.Scheduler.Dispose();
        await Assert.ThatAsync(() => rig.Client.GenerateTextAsync("prompt"), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void A_client_needs_all_its_parts()
    {
        using var rig = new SchedulerRig();
        Assert.That(() => new ContinuousBatchSchedulerClient(null!, SchedulerApiClientConfiguration.Default, NullLogger.Instance), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchSchedulerClient(rig.Scheduler, null!, NullLogger.Instance), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchSchedulerClient(rig.Scheduler, SchedulerApiClientConfiguration.Default, null!), Throws.ArgumentNullException);
        Assert.That(
            () => new ContinuousBatchSchedulerClient(rig.Scheduler, new SchedulerApiClientConfiguration(DefaultMaxTokens: 0), NullLogger.Instance),
            Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    private static BatchConstraints OneAtATime => new(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024);

    private static TimeSpan LimitOfWaiting(SchedulerRig rig) =>
        rig.Clock.GetElapsedTime(rig.Clock.GetTimestamp(), rig.Queue.Snapshot().Single().LimitTimestamp);

    private sealed class FixedUsage(long bytes) : IKVCacheManager
    {
        public long AllocateCache(RequestId requestId, int maxTokens) => bytes;

        public void ReleaseCache(RequestId requestId)
        {
        }

        public long GetCurrentUsageBytes() => bytes;
    }

    private sealed class ListLogger : ILogger
    {
        public List<string> Messages { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Messages.Add(formatter(state, exception));
    }

    [Test]
    public async Task A_refusal_within_a_batch_keeps_its_type_and_reason()
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { Admission = new AdmissionLimits(MaxQueuedRequests: 1) });
        Task<List<GenerationResult>> batch = rig.Client.GenerateBatchAsync([new GenerationRequest("first", 1), new GenerationRequest("second", 1)]);
        rig.StartAndDrain();

        // The client's continuations run on the thread pool, outside the simulation.
        List<GenerationResult> results = await batch;
        Assert.That(results[1].Exception, Is.TypeOf<RequestRejectedException>().With.Property("Reason").EqualTo(RejectionReason.TooManyRequests));
        Assert.That(results[0].Exception, Is.Null);
    }
}
