using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;
using NSubstitute;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

/// <summary>The scheduler driven by hand: what one iteration does, and what is refused.</summary>
public class ContinuousBatchSchedulerTests
{
    private static readonly BatchConstraints s_constraints = BatchConstraints.Default;

    [Test]
    public void By_hand_an_iteration_prefills_then_decodes_a_token_each()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue("hello", maxTokens: 3);
        IterationResult first = rig.Iterate();
        Assert.That(first.RequestCount, Is.EqualTo(1));
        Assert.That(request.GeneratedTokens, Is.EqualTo(1));
        rig.Iterate();
        IterationResult last = rig.Iterate();
        Assert.That(last.RequestsCompleted, Is.EqualTo(1));
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        rig.AssertIdle();
    }

    [Test]
    public void The_result_of_an_iteration_tells_what_it_did()
    {
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(64, BytesPerToken: 3));
        rig.Enqueue("hello", maxTokens: 1);
        rig.Enqueue("world", maxTokens: 2);
        Assert.That(rig.Iterate(), Is.EqualTo(new IterationResult(1, 2, 2, 1, TimeSpan.FromMilliseconds(10), 16 * 3)));
        Assert.That(rig.Iterate(), Is.EqualTo(new IterationResult(2, 1, 1, 1, TimeSpan.FromMilliseconds(10), 0)));
    }

    [Test]
    public void An_iteration_with_nothing_to_do_computes_nothing_and_is_not_counted()
    {
        using var rig = new SchedulerRig();
        Assert.That(rig.Iterate(), Is.EqualTo(new IterationResult(0, 0, 0, 0, TimeSpan.Zero, 0)));
        Assert.That(rig.Model.BatchSizes, Is.Empty);
    }

    [Test]
    public void A_finished_request_tells_its_times_and_counts()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024));
        rig.Enqueue("first", maxTokens: 2);
        Request second = rig.Enqueue("second one", maxTokens: 3);
        rig.RunDry();
        RequestResult result = second.Result!;
        Assert.That(result.QueueTime, Is.EqualTo(TimeSpan.FromMilliseconds(20)));
        Assert.That(result.ProcessingTime, Is.EqualTo(TimeSpan.FromMilliseconds(30)));
        Assert.That(result.TimeToFirstToken, Is.EqualTo(TimeSpan.FromMilliseconds(30)));
        Assert.That(result.PromptTokens, Is.EqualTo(10));
        Assert.That(result.TokensGenerated, Is.EqualTo(3));
        Assert.That(result.GeneratedText, Has.Length.EqualTo(3));
        Assert.That(second.CompletionSource.Task.Result, Is.EqualTo(result.GeneratedText));
        Assert.That(second.GeneratedTokenIds, Has.Count.EqualTo(3));
    }

    [Test]
    public void The_text_does_not_depend_on_the_company()
    {
        string alone;
        using (var rig = new SchedulerRig())
        {
            Request request = rig.Enqueue("the same prompt", 30);
            rig.RunDry();
            alone = request.Result!.GeneratedText;
        }

        using var crowd = new SchedulerRig(
            constraints: new BatchConstraints(MaxBatchSize: 6, MinBatchSize: 1, MaxSequenceLength: 256),
            cache: new KVCacheConfiguration(12),
            prefill: PrefillConfiguration.Default with { PrefillChunkSize = 3 });
        Request among = crowd.Enqueue("the same prompt", 30);
        for (int i = 0; i < 20; i++)
        {
            crowd.Enqueue($"another prompt, number {i}", 10 + i, (Priority)(i % 4));
        }

        crowd.RunDry();
        Assert.That(among.Result!.GeneratedText, Is.EqualTo(alone));
    }

    [Test]
    public void Every_part_but_the_optional_ones_must_be_there()
    {
        using var rig = new SchedulerRig();
        var detector = new CompletionDetector(CompletionConfiguration.Default, rig.Tokenizer);
        SchedulerConfiguration configuration = SchedulerConfiguration.Default;
        Assert.That(() => new ContinuousBatchScheduler(null!, rig.Batches, detector, rig.Capacity, rig.Model, rig.Collector, configuration), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchScheduler(rig.Queue, null!, detector, rig.Capacity, rig.Model, rig.Collector, configuration), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchScheduler(rig.Queue, rig.Batches, null!, rig.Capacity, rig.Model, rig.Collector, configuration), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchScheduler(rig.Queue, rig.Batches, detector, null!, rig.Model, rig.Collector, configuration), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchScheduler(rig.Queue, rig.Batches, detector, rig.Capacity, null!, rig.Collector, configuration), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchScheduler(rig.Queue, rig.Batches, detector, rig.Capacity, rig.Model, null!, configuration), Throws.ArgumentNullException);
        Assert.That(() => new ContinuousBatchScheduler(rig.Queue, rig.Batches, detector, rig.Capacity, rig.Model, rig.Collector, null!), Throws.ArgumentNullException);
    }

    [Test]
    public void A_batch_manager_of_another_queue_is_refused()
    {
        using var rig = new SchedulerRig();
        using var other = new RequestQueue(10);
        var batches = new BatchManager(other, rig.Cache, s_constraints);
        var detector = new CompletionDetector(CompletionConfiguration.Default, rig.Tokenizer);
        Assert.That(
            () => new ContinuousBatchScheduler(rig.Queue, batches, detector, rig.Capacity, rig.Model, rig.Collector, SchedulerConfiguration.Default),
            Throws.ArgumentException.With.Message.Contains("the scheduler's queue"));
    }

    [Test]
    public async Task Only_one_drives_the_scheduler_at_a_time()
    {
        var gate = new TaskCompletionSource<BatchOutput>();
        using var rig = new SchedulerRig(executor: new DelegateExecutor((_, _) => gate.Task));
        Request request = rig.Enqueue("prompt", 1);
        Task<IterationResult> iteration = rig.Scheduler.ExecuteIterationAsync();
        Assert.That(() => rig.Scheduler.ExecuteIterationAsync(), Throws.InvalidOperationException.With.Message.Contains("Only one may"));
        Assert.That(rig.Scheduler.Start, Throws.InvalidOperationException);
        gate.SetResult(DelegateExecutor.Answer(rig.Batches.CurrentBatch));
        await iteration;
        Assert.That(request.IsCompleted);
        Assert.That(rig.Iterate().RequestCount, Is.Zero);
    }

    [Test]
    public void No_iteration_by_hand_while_the_loop_runs()
    {
        using var rig = new SchedulerRig();
        rig.Scheduler.Start();
        Assert.That(() => rig.Scheduler.ExecuteIterationAsync(), Throws.InvalidOperationException);
    }

    [Test]
    public void An_iteration_given_up_by_its_caller_commits_nothing_and_can_be_repeated()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue("prompt", 2);
        using var source = new CancellationTokenSource();
        rig.Context.Run(async () =>
        {
            Task<IterationResult> iteration = rig.Scheduler.ExecuteIterationAsync(source.Token);
            source.Cancel();
            await ((Task)iteration).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            Assert.That(iteration.IsCanceled);
        });
        Assert.That(request.GeneratedTokens, Is.Zero);
        Assert.That(rig.Collector.GetErrorStatistics().TotalErrors, Is.Zero, "Giving up is no error of the model.");
        rig.RunDry();
        Assert.That(request.Result!.TokensGenerated, Is.EqualTo(2));
    }

    [Test]
    public void A_token_that_has_fired_before_runs_nothing()
    {
        using var rig = new SchedulerRig();
        rig.Enqueue();
        Assert.That(() => rig.Scheduler.ExecuteIterationAsync(new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(rig.Batches.ActiveRequestCount, Is.Zero);
    }

    [Test]
    public void Active_and_queued_requests_are_counted_where_they_are()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 2, MinBatchSize: 1, MaxSequenceLength: 100));
        for (int i = 0; i < 5; i++)
        {
            rig.Enqueue(maxTokens: 2);
        }

        rig.Iterate();
        Assert.That((rig.Scheduler.ActiveRequestCount, rig.Scheduler.QueuedRequestCount), Is.EqualTo((2, 3)));
        rig.RunDry();
        Assert.That((rig.Scheduler.ActiveRequestCount, rig.Scheduler.QueuedRequestCount), Is.EqualTo((0, 0)));
    }

    [Test]
    public void A_prompt_that_fills_the_context_but_for_one_token_is_served_and_ends_by_length()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 2, MinBatchSize: 1, MaxSequenceLength: 20));
        Request fits = rig.Enqueue(new string('x', 19), maxTokens: 10);
        Request grows = rig.Enqueue(new string('y', 15), maxTokens: 10);
        rig.RunDry();
        Assert.That((fits.Result!.Reason, fits.Result.TokensGenerated), Is.EqualTo((CompletionReason.LengthReached, 1)));
        Assert.That((grows.Result!.Reason, grows.Result.TokensGenerated), Is.EqualTo((CompletionReason.LengthReached, 5)));
    }

    [Test]
    public void The_executor_may_end_a_response_whatever_its_token()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor(batch =>
            DelegateExecutor.Answer(batch) with { IsEosReached = [.. batch.Requests.Select(r => r.GeneratedTokens == 2)] }));
        Request request = rig.Enqueue("prompt", 10);
        rig.RunDry();
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.EosTokenReached, 3)));
    }

    [Test]
    public void Ignoring_the_end_of_sequence_goes_on_to_the_token_limit_even_if_the_executor_flags_it()
    {
        using var rig = new SchedulerRig();
        rig.Model.Script["prompt"] = [WordTokenizer.Eos, 'x', WordTokenizer.Eos, 'y'];
        Request request = rig.Enqueue(rig.NewRequest(maxTokens: 4, options: GenerationOptions.Default with { IgnoreEos = true }));
        rig.RunDry();
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.MaxTokensReached, 4)));
        Assert.That(request.Result.GeneratedText, Is.EqualTo("xy"));
    }

    [Test]
    public void Metrics_that_throw_do_not_disturb_the_engine()
    {
        ISchedulerMetrics metrics = Substitute.For<ISchedulerMetrics>();
        metrics.WhenForAnyArgs(m => m.RecordIteration(null!)).Throw<InvalidOperationException>();
        metrics.WhenForAnyArgs(m => m.RecordRequestCompletion(null!)).Throw<InvalidOperationException>();
        metrics.WhenForAnyArgs(m => m.RecordBatchUtilization(0)).Throw<InvalidOperationException>();
        using var rig = new SchedulerRig(metrics: metrics);
        Request request = rig.Enqueue(maxTokens: 3);
        rig.RunDry();
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        metrics.Received(3).RecordBatchUtilization(12.5);
    }

    [Test]
    public void What_is_enqueued_directly_in_the_schedulers_queue_goes_the_schedulers_way()
    {
        using var rig = new SchedulerRig();
        Request request = rig.NewRequest("prompt", 2);
        rig.Queue.Enqueue(request, Priority.High);
        Assert.That(rig.Scheduler.Registry.Count, Is.EqualTo(1));
        rig.RunDry();
        Assert.That(request.Result!.TokensGenerated, Is.EqualTo(2));
        Assert.That(() => rig.Queue.Enqueue(rig.NewRequest(string.Empty)), Throws.ArgumentException, "It is checked like any other.");
        rig.AssertIdle();
    }

    [Test]
    public void Bad_configuration_is_refused_by_name([ValueSource(nameof(BadConfigurations))] (SchedulerConfiguration Configuration, string Name) bad) =>
        Assert.That(() => new SchedulerRig(configuration: bad.Configuration), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains(bad.Name));

    public static IEnumerable<(SchedulerConfiguration Configuration, string Name)> BadConfigurations()
    {
        SchedulerConfiguration good = SchedulerConfiguration.Default;
        yield return (good with { IterationTimeoutMs = 0 }, "IterationTimeoutMs");
        yield return (good with { MaxIdleIterations = -1 }, "MaxIdleIterations");
        yield return (good with { MinIterationsPerSecond = 0 }, "MinIterationsPerSecond");
        yield return (good with { WarmupIterations = -1 }, "WarmupIterations");
        yield return (good with { TargetUtilization = 0 }, "TargetUtilization");
        yield return (good with { TargetUtilization = 1.1 }, "TargetUtilization");
        yield return (good with { TargetUtilization = double.NaN }, "TargetUtilization");
        yield return (good with { MaxRetries = -1 }, "MaxRetries");
        yield return (good with { StopTimeout = TimeSpan.FromSeconds(-1) }, "StopTimeout");
        yield return (good with { InterTokenTarget = TimeSpan.Zero }, "InterTokenTarget");
        yield return (good with { Admission = new AdmissionLimits(MaxQueuedRequests: 0) }, "MaxQueuedRequests");
    }

    [Test]
    public void A_clock_other_than_the_queues_is_refused()
    {
        using var rig = new SchedulerRig();
        Assert.That(
            () => new ContinuousBatchScheduler(
                rig.Queue, rig.Batches, rig.Scheduler.Detector, rig.Capacity, rig.Model, rig.Collector, SchedulerConfiguration.Default, TimeProvider.System),
            Throws.ArgumentException.With.Message.Contains("TimeProvider"));
    }

    [Test]
    public void A_full_batch_is_company_enough()
    {
        using var rig = new SchedulerRig(new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 4, MaxSequenceLength: 64));
        Request request = rig.Enqueue("hello", maxTokens: 1);
        rig.StartAndDrain();
        Assert.That(request.Result!.QueueTime, Is.EqualTo(TimeSpan.Zero));
    }
}
