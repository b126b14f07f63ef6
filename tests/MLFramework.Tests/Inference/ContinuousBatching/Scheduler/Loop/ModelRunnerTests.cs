using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Loop;

/// <summary>Iterations that take too long are given up, retried and isolated; whoever hangs hangs alone.</summary>
public class ModelRunnerTests
{
    private static readonly SchedulerConfiguration s_oneTry = SchedulerConfiguration.Default with { IterationTimeoutMs = 200, MaxRetries = 0 };

    [Test]
    public void A_step_that_hangs_is_cancelled_after_the_timeout_and_fails_its_request()
    {
        var executor = new DelegateExecutor(Hang);
        using var rig = new SchedulerRig(executor: executor, configuration: s_oneTry);
        Request request = rig.Enqueue();
        rig.RunDry();
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(200)));
        Assert.That(request.Fault(), Is.TypeOf<TimeoutException>().With.Message.Contains("200 ms").And.Message.Contains("IterationTimeoutMs"));
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
        Assert.That(rig.Collector.GetErrorStatistics().ErrorsByType, Does.ContainKey("IterationTimeout"));
    }

    [Test]
    public void One_hang_is_retried_and_costs_time_only()
    {
        int calls = 0;
        var executor = new DelegateExecutor((batch, token) => ++calls == 2 ? Hang(batch, token) : Task.FromResult(DelegateExecutor.Answer(batch)));
        using var rig = new SchedulerRig(executor: executor);
        Request request = rig.Enqueue(maxTokens: 4);
        rig.RunDry();
        Assert.That(request.Result!.TokensGenerated, Is.EqualTo(4));
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromSeconds(1)), "The default timeout, once.");
    }

    [Test]
    public void An_executor_that_expects_to_take_longer_is_given_ten_times_that()
    {
        var executor = new DelegateExecutor(Hang) { Estimate = TimeSpan.FromMilliseconds(70) };
        using var rig = new SchedulerRig(executor: executor, configuration: s_oneTry);
        rig.Enqueue();
        rig.RunDry();
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(700)));
    }

    [Test]
    public void An_expectation_of_days_or_of_less_than_nothing_is_none([Values] bool endless)
    {
        var executor = new DelegateExecutor(Hang) { Estimate = endless ? TimeSpan.MaxValue : TimeSpan.MinValue };
        using var rig = new SchedulerRig(executor: executor, configuration: s_oneTry);
        Request request = rig.Enqueue();
        rig.RunDry();
        Assert.That(request.Fault(), Is.TypeOf<TimeoutException>());
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(200)));
    }

    [Test]
    public void An_executor_that_ignores_its_cancellation_is_awaited_as_long_again_and_then_called_beside_its_old_call()
    {
        var batches = new List<Batch>();
        var hung = new TaskCompletionSource<BatchOutput>();
        var executor = new DelegateExecutor((batch, _) =>
        {
            batches.Add(batch);
            return batches.Count == 1 ? hung.Task : Task.FromResult(DelegateExecutor.Answer(batch));
        });
        using var rig = new SchedulerRig(executor: executor, configuration: s_oneTry with { MaxRetries = 1 });
        Request request = rig.Enqueue(maxTokens: 2);
        rig.RunDry();
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(400)));
        Assert.That(request.Result!.TokensGenerated, Is.EqualTo(2));
        Assert.That(batches[1], Is.Not.SameAs(batches[0]), "The runaway may still read its batch.");
        Assert.That(batches[0].Requests, Has.Count.EqualTo(1));
        hung.SetException(new InvalidDataException("Too late to matter."));
        Assert.That(request.Result.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void Each_run_has_a_token_of_its_own()
    {
        var tokens = new List<CancellationToken>();
        var executor = new DelegateExecutor((batch, token) =>
        {
            tokens.Add(token);
            return tokens.Count == 1 ? Hang(batch, token) : Task.FromResult(DelegateExecutor.Answer(batch));
        });
        using var rig = new SchedulerRig(executor: executor);
        rig.Enqueue(maxTokens: 1);
        rig.RunDry();
        Assert.That(tokens.Select(t => t.IsCancellationRequested), Is.EqualTo(new[] { true, false }));
    }

    [Test]
    public void A_cancellation_callback_that_throws_is_survived()
    {
        int calls = 0;
        var executor = new DelegateExecutor((batch, token) =>
        {
            if (++calls > 1)
            {
                return Task.FromResult(DelegateExecutor.Answer(batch));
            }

            token.Register(() => throw new InvalidDataException("A callback of the executor's."));
            return new TaskCompletionSource<BatchOutput>().Task;
        });
        using var rig = new SchedulerRig(executor: executor);
        Request request = rig.Enqueue(maxTokens: 1);
        rig.RunDry();
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void The_one_that_hangs_its_batch_is_found_and_the_others_go_on()
    {
        var executor = new DelegateExecutor((batch, token) =>
            batch.Requests.Exists(r => r.Prompt == "hangs") ? Hang(batch, token) : Task.FromResult(DelegateExecutor.Answer(batch)));
        using var rig = new SchedulerRig(executor: executor, configuration: s_oneTry);
        Request[] requests = [rig.Enqueue("first"), rig.Enqueue("hangs"), rig.Enqueue("third")];
        rig.RunDry();
        Assert.That(requests.Select(r => r.Result!.Reason), Is.EqualTo(new[] { CompletionReason.MaxTokensReached, CompletionReason.Failed, CompletionReason.MaxTokensReached }));
        rig.AssertIdle();
    }

    [Test]
    public void A_stop_at_once_does_not_wait_for_a_hanging_step_longer_than_its_grace()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor((_, _) => new TaskCompletionSource<BatchOutput>().Task), configuration: s_oneTry);
        Request request = rig.Enqueue();
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromMilliseconds(50), rig.Clock);
            await rig.Scheduler.StopAsync(TimeSpan.Zero);
        });
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(250)));
        rig.AssertIdle();
    }

    private static Task<BatchOutput> Hang(Batch batch, CancellationToken token)
    {
        var hung = new TaskCompletionSource<BatchOutput>();
        token.Register(() => hung.TrySetCanceled(token));
        return hung.Task;
    }
}
