using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

/// <summary>Cancellation reaches a request wherever it is, once, and frees everything.</summary>
public class CancellationTests
{
    private static readonly BatchConstraints s_one = new(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024);

    [Test]
    public void Of_a_request_that_waits_before_the_scheduler_starts_it_takes_effect_at_once()
    {
        using var rig = new SchedulerRig();
        using var source = new CancellationTokenSource();
        Request request = rig.Enqueue(rig.NewRequest(token: source.Token));
        source.Cancel();
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        Assert.That(request.CompletionSource.Task.IsCanceled);
        rig.AssertIdle();
    }

    [Test]
    public async Task The_callers_own_token_is_the_one_that_the_exception_carries()
    {
        using var rig = new SchedulerRig();
        using var source = new CancellationTokenSource();
        Request request = rig.Enqueue(rig.NewRequest(token: source.Token));
        source.Cancel();
        OperationCanceledException error = await Assert.CatchAsync<OperationCanceledException>(() => request.CompletionSource.Task);
        Assert.That(error.CancellationToken, Is.EqualTo(source.Token));
    }

    [Test]
    public void A_token_that_has_fired_before_enqueueing_ends_the_request_at_once()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue(rig.NewRequest(token: new CancellationToken(true)));
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        rig.AssertIdle();
    }

    [Test]
    public void In_the_queue_it_lets_nobody_else_wait_and_never_runs()
    {
        using var rig = new SchedulerRig(constraints: s_one);
        rig.Enqueue("running", 5);
        Request waiting = rig.Enqueue("waiting", 5);
        rig.Iterate();
        Assert.That(rig.Client.CancelRequest(waiting.Id));
        Assert.That(waiting.Result!.ProcessingTime, Is.EqualTo(TimeSpan.Zero));
        Assert.That(waiting.Result.TimeToFirstToken, Is.Null);
        rig.RunDry();
        rig.AssertIdle();
    }

    [Test]
    public void Between_prefill_chunks_it_frees_the_blocks_before_the_next_plan()
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillChunkSize = 16 });
        Request request = rig.Enqueue(new string('x', 100), 5);
        rig.Iterate();
        Assert.That(rig.Paged.ReferencedBlocks, Is.Positive);
        Assert.That(request.GeneratedTokens, Is.Zero);
        Assert.That(rig.Client.CancelRequest(request.Id));
        Assert.That(rig.Paged.ReferencedBlocks, Is.Zero);
        Assert.That(rig.Capacity.AllocationCount, Is.Zero);
        Assert.That(rig.Iterate().RequestCount, Is.Zero);
    }

    [Test]
    public void Between_tokens_it_keeps_what_was_generated()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue("prompt", 10);
        rig.Iterate();
        rig.Iterate();
        rig.Client.CancelRequest(request.Id);
        Assert.That(request.Result!.TokensGenerated, Is.EqualTo(2));
        Assert.That(request.Result.GeneratedText, Has.Length.EqualTo(2));
        Assert.That(request.CompletionSource.Task.IsCanceled);
        rig.AssertIdle();
    }

    [Test]
    public void During_a_step_it_ends_with_the_step()
    {
        using var rig = new SchedulerRig();
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Request request = rig.Enqueue("prompt", 100);
            await Task.Delay(TimeSpan.FromMilliseconds(25), rig.Clock);
            Assert.That(rig.Client.CancelRequest(request.Id));
            Assert.That(request.IsCompleted, Is.False, "The owner thread ends it, not the caller.");
            await request.EndAsync();
            Assert.That(request.CompletionSource.Task.IsCanceled);
            Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(30)));
            await rig.Scheduler.StopAsync();
        });
        rig.AssertIdle();
    }

    [Test]
    public void Of_two_cancellations_the_first_counts()
    {
        using var rig = new SchedulerRig();
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Request request = rig.Enqueue("prompt", 100);
            await Task.Delay(TimeSpan.FromMilliseconds(5), rig.Clock);
            Assert.That(rig.Client.CancelRequest(request.Id), Is.True);
            Assert.That(rig.Client.CancelRequest(request.Id), Is.False, "It is being cancelled.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), rig.Clock);
            Assert.That(rig.Client.CancelRequest(request.Id), Is.False, "It has ended.");
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void An_accepted_cancellation_prevails_over_a_completion_in_the_same_step()
    {
        using var rig = new SchedulerRig();
        Request request = rig.NewRequest(maxTokens: 1);
        bool accepted = false;
        rig.Model.BeforeStep = _ => accepted = rig.Client.CancelRequest(request.Id);
        rig.Enqueue(request);
        rig.RunDry();
        Assert.That(accepted);
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        Assert.That(request.CompletionSource.Task.IsCanceled);
    }

    [Test]
    public void What_is_unknown_or_has_ended_cannot_be_cancelled()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue(maxTokens: 1);
        rig.RunDry();
        Assert.That(rig.Client.CancelRequest(request.Id), Is.False);
        Assert.That(rig.Client.CancelRequest(RequestId.New()), Is.False);
        Assert.That(rig.Client.CancelRequest(RequestId.Empty), Is.False);
    }

    [Test]
    public void Cancelling_all_counts_those_that_it_ends()
    {
        using var rig = new SchedulerRig(constraints: s_one);
        List<Request> requests = [.. Enumerable.Range(0, 5).Select(_ => rig.Enqueue(maxTokens: 50))];
        rig.Iterate();
        Assert.That(rig.Client.CancelRequest(requests[3].Id));
        Assert.That(rig.Client.CancelAllRequests(), Is.EqualTo(4));
        Assert.That(rig.Client.CancelAllRequests(), Is.Zero);
        Assert.That(requests.Select(r => r.Result!.Reason), Is.All.EqualTo(CompletionReason.Cancelled));
        rig.AssertIdle();
    }

    [Test]
    public void What_callers_take_out_of_the_queue_ends_cancelled_even_during_a_step([Values("Remove", "MarkCancelled", "Clear")] string how)
    {
        using var rig = new SchedulerRig(constraints: s_one);
        Request running = rig.Enqueue("running", 3);
        Request waiting = rig.Enqueue("waiting", 3);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromMilliseconds(5), rig.Clock);
            switch (how)
            {
                case "Remove":
                    Assert.That(rig.Queue.Remove(waiting.Id));
                    break;
                case "MarkCancelled":
                    Assert.That(rig.Queue.MarkCancelled(waiting.Id));
                    break;
                default:
                    rig.Queue.Clear();
                    break;
            }

            await rig.Scheduler.StopAsync();
        });
        Assert.That((waiting.Result!.Reason, waiting.Result.TokensGenerated), Is.EqualTo((CompletionReason.Cancelled, 0)));
        Assert.That(running.Result!.TokensGenerated, Is.EqualTo(3));
        rig.AssertIdle();
    }

    [Test]
    public void A_sample_that_awaits_its_prompt_can_be_cancelled()
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillChunkSize = 16 });
        Request first = rig.Enqueue(rig.NewRequest(new string('p', 60)));
        var sample = new Request(RequestId.New(), first.Prompt, 4, CancellationToken.None, timeProvider: rig.Clock) { FirstSample = first, SampleIndex = 1 };
        rig.Enqueue(sample);
        rig.Iterate();
        Assert.That(sample.Sequence!.State, Is.EqualTo(SequenceState.AwaitingPrompt));
        Assert.That(rig.Client.CancelRequest(sample.Id));
        Assert.That(sample.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));
        rig.RunDry();
        Assert.That(first.Result!.TokensGenerated, Is.EqualTo(4));
        rig.AssertIdle();
    }

    [Test]
    public void The_registration_on_a_long_lived_token_is_given_back()
    {
        using var rig = new SchedulerRig();
        using var source = new CancellationTokenSource();
        WeakReference ended = Serve(rig, source.Token);
        for (int i = 0; i < 3 && ended.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.That(ended.IsAlive, Is.False, "The token still knows the request.");
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static WeakReference Serve(SchedulerRig rig, CancellationToken token)
    {
        Request request = rig.Enqueue(rig.NewRequest(maxTokens: 1, token: token));
        rig.RunDry();

        // The batch of the next request no longer names this one.
        rig.Enqueue("another", 1);
        rig.RunDry();
        return new WeakReference(request);
    }
}
