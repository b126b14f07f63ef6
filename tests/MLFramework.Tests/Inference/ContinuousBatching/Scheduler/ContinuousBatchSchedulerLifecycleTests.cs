using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

/// <summary>Starting, draining, stopping, restarting and disposing. Whatever happens, what was accepted ends.</summary>
public class ContinuousBatchSchedulerLifecycleTests
{
    private static readonly TimeSpan s_step = TimeSpan.FromMilliseconds(10);

    [Test]
    public void The_loop_serves_many_requests_and_drains()
    {
        using var rig = new SchedulerRig();
        rig.Model.EosOneIn = 20;
        List<Request> requests = [.. Enumerable.Range(0, 50).Select(i => rig.Enqueue($"prompt {i}", 20))];
        rig.StartAndDrain();
        Assert.That(requests.Select(r => r.Result!.Reason), Is.All.EqualTo(CompletionReason.EosTokenReached).Or.EqualTo(CompletionReason.MaxTokensReached));
        Assert.That(rig.Scheduler.IsRunning, Is.False);
    }

    [Test]
    public void What_was_enqueued_before_the_first_start_waits_for_it()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue();
        Assert.That(request.IsCompleted, Is.False);
        rig.StartAndDrain();
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void Starting_twice_is_refused_and_harmless()
    {
        using var rig = new SchedulerRig();
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Assert.That(rig.Scheduler.IsRunning);
            Assert.That(rig.Scheduler.Start, Throws.InvalidOperationException.With.Message.Contains("runs already"));
            await rig.Enqueue().CompletionSource.Task;
            await rig.Scheduler.StopAsync();
        });
        rig.AssertIdle();
    }

    [Test]
    public void Stopping_takes_no_more_requests_and_lets_accepted_ones_finish()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 100));
        Request running = rig.Enqueue("first", 5);
        Request waiting = rig.Enqueue("second", 5);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Task stopped = rig.Scheduler.StopAsync();
            Assert.That(rig.Scheduler.IsRunning, "It still drains.");
            Assert.That(() => rig.Enqueue("third"), Throws.TypeOf<RequestRejectedException>().With.Property("Reason").EqualTo(RejectionReason.Stopped));
            await stopped;
        });
        Assert.That(new[] { running.Result!.TokensGenerated, waiting.Result!.TokensGenerated }, Is.EqualTo(new[] { 5, 5 }));
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(10 * s_step));
    }

    [Test]
    public void What_has_not_finished_when_a_stop_times_out_ends_cancelled_with_what_it_has()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024));
        Request running = rig.Enqueue("first", 500);
        Request waiting = rig.Enqueue("second", 500);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await rig.Scheduler.StopAsync(TimeSpan.FromMilliseconds(95));
        });
        Assert.That((running.Result!.Reason, running.Result.TokensGenerated), Is.EqualTo((CompletionReason.Cancelled, 9)));
        Assert.That((waiting.Result!.Reason, waiting.Result.TokensGenerated), Is.EqualTo((CompletionReason.Cancelled, 0)));
        Assert.That(running.CompletionSource.Task.IsCanceled);
        Assert.That(waiting.CompletionSource.Task.IsCanceled);
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(95)), "The step under way is given up.");
        rig.AssertIdle();
    }

    [Test]
    public void The_configured_time_holds_for_a_stop_that_states_none()
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { StopTimeout = TimeSpan.FromMilliseconds(55) });
        Request request = rig.Enqueue("prompt", 500);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await rig.Scheduler.StopAsync();
        });
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(55)));
    }

    [Test]
    public void A_second_stop_may_be_more_urgent_than_the_first()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue("prompt", 500);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Task patient = rig.Scheduler.StopAsync(Timeout.InfiniteTimeSpan);
            await Task.Delay(25 * s_step / 10, rig.Clock);
            await rig.Scheduler.StopAsync(TimeSpan.Zero);
            Assert.That(patient.IsCompleted);
        });
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.Cancelled, 2)));
    }

    [Test]
    public void Stopping_for_longer_than_a_timer_can_count_is_stopping_for_ever()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue("prompt", 5);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await rig.Scheduler.StopAsync(TimeSpan.FromDays(1000));
        });
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_negative_stop_timeout_is_refused()
    {
        using var rig = new SchedulerRig();
        Assert.That(() => rig.Scheduler.StopAsync(TimeSpan.FromSeconds(-2)), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => rig.Enqueue(), Throws.Nothing, "Nothing was stopped.");
    }

    [Test]
    public void Stopping_what_never_started_cancels_what_it_had_accepted()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue();
        Assert.That(rig.Scheduler.StopAsync().IsCompletedSuccessfully);
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        rig.AssertIdle();
    }

    [Test]
    public void After_a_stop_it_starts_again_as_new()
    {
        using var rig = new SchedulerRig();
        for (int run = 0; run < 3; run++)
        {
            rig.Context.Run(async () =>
            {
                rig.Scheduler.Start();
                await rig.Enqueue("prompt", 5).CompletionSource.Task;
                Request cut = rig.Enqueue("prompt", 500);
                await rig.Scheduler.StopAsync(s_step / 2);
                Assert.That(cut.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
            });
            rig.AssertIdle();
            Assert.That(rig.Client.GetStatus().CompletedRequests, Is.EqualTo(run + 1));
        }
    }

    [Test]
    public void Between_stop_and_start_requests_are_refused_as_stopped_and_after_it_taken()
    {
        using var rig = new SchedulerRig();
        rig.StartAndDrain();
        Task<string> refused = rig.Scheduler.EnqueueAsync(rig.NewRequest());
        var error = (RequestRejectedException)refused.Exception!.InnerException!;
        Assert.That((error.Reason, error.EstimatedWait), Is.EqualTo((RejectionReason.Stopped, (TimeSpan?)null)));
        Assert.That(error.Message, Does.Contain("start it again"));
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await rig.Enqueue().CompletionSource.Task;
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void Disposing_cancels_what_is_alive_and_refuses_the_rest()
    {
        var rig = new SchedulerRig();
        Request running = rig.Enqueue("prompt", 500);
        rig.Iterate();
        Request waiting = rig.Enqueue();
        rig.Scheduler.Dispose();
        rig.Scheduler.Dispose();
        Assert.That(new[] { running.Result!.Reason, waiting.Result!.Reason }, Is.All.EqualTo(CompletionReason.Cancelled));
        Assert.That(() => rig.Scheduler.EnqueueAsync(rig.NewRequest()), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(rig.Scheduler.Start, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => rig.Scheduler.ExecuteIterationAsync(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => rig.Scheduler.StopAsync(), Throws.Nothing, "Stopping what is disposed is no harm.");
        rig.AssertIdle();
        rig.Dispose();
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Stopping_or_disposing_during_an_iteration_by_hand_ends_everything_with_it(bool dispose)
    {
        var gate = new TaskCompletionSource<BatchOutput>();
        using var rig = new SchedulerRig(
            constraints: new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1), executor: new DelegateExecutor((_, _) => gate.Task));
        Request running = rig.Enqueue("first", 5);
        Request waiting = rig.Enqueue("second", 5);
        Task<IterationResult> iteration = rig.Scheduler.ExecuteIterationAsync();
        if (dispose)
        {
            rig.Scheduler.Dispose();
        }
        else
        {
            await rig.Scheduler.StopAsync();
        }

        gate.SetResult(DelegateExecutor.Answer(rig.Batches.CurrentBatch));
        await iteration;
        Assert.That(new[] { running.Result?.Reason, waiting.Result?.Reason }, Is.All.EqualTo(CompletionReason.Cancelled));
        rig.AssertIdle();
    }

    [Test]
    public void A_loop_that_faults_fails_what_is_alive_and_goes_on()
    {
        var cache = new SwitchableCache();
        using var rig = new SchedulerRig(cacheManager: cache);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            cache.Fault = new NotSupportedException("Not the contract's way to say no.");
            Request unlucky = rig.Enqueue();
            await unlucky.EndAsync();
            Assert.That(unlucky.Fault(), Is.TypeOf<NotSupportedException>());
            Assert.That(unlucky.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
            cache.Fault = null;
            await rig.Enqueue().CompletionSource.Task;
            await rig.Scheduler.StopAsync();
        });
        rig.AssertIdle();
    }

    private sealed class SwitchableCache : IKVCacheManager
    {
        public Exception? Fault { get; set; }

        public long AllocateCache(RequestId requestId, int maxTokens) => Fault is null ? maxTokens : throw Fault;

        public void ReleaseCache(RequestId requestId)
        {
        }

        public long GetCurrentUsageBytes() => 0;
    }
}
