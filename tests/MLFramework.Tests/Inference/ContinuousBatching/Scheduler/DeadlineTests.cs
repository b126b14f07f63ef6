using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

/// <summary>Deadlines and time limits: in the queue, in prefill, between tokens.</summary>
public class DeadlineTests
{
    private static readonly TimeSpan s_step = TimeSpan.FromMilliseconds(10);

    [Test]
    public void A_request_that_expires_in_the_queue_never_runs()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024));
        rig.Enqueue("running", 10);
        rig.Iterate();
        Request waiting = rig.Enqueue(rig.NewRequest("waiting", deadline: 3 * s_step));
        rig.RunDry();
        RequestResult result = waiting.Result!;
        Assert.That((result.Reason, result.TokensGenerated, result.ProcessingTime), Is.EqualTo((CompletionReason.Timeout, 0, TimeSpan.Zero)));
        Assert.That(result.QueueTime, Is.EqualTo(3 * s_step));
        Assert.That(result.Error, Does.Contain("while it waited"));
        Assert.That(waiting.CompletionSource.Task.Exception!.InnerException, Is.TypeOf<TimeoutException>());
    }

    [Test]
    public void A_request_that_expires_between_prefill_chunks_frees_its_blocks()
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillChunkSize = 16 });
        Request request = rig.Enqueue(rig.NewRequest(new string('x', 200), deadline: 2 * s_step));
        rig.RunDry();
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.Timeout, 0)));
        rig.AssertIdle();
    }

    [Test]
    public void A_request_that_expires_between_tokens_keeps_those_that_it_has()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue(rig.NewRequest(maxTokens: 100, deadline: 3 * s_step));
        rig.RunDry();
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.Timeout, 3)));
        Assert.That(request.Result.Error, Does.Contain("after 3 tokens"));
        Assert.That(request.Result.GeneratedText, Has.Length.EqualTo(3));
        rig.AssertIdle();
    }

    [Test]
    public void A_sample_that_awaits_its_prompt_expires_like_any_other()
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillChunkSize = 16 });
        Request first = rig.Enqueue(rig.NewRequest(new string('p', 100)));
        var sample = new Request(RequestId.New(), first.Prompt, 4, CancellationToken.None, timeProvider: rig.Clock)
        {
            FirstSample = first,
            Options = GenerationOptions.Default with { TimeLimit = 2 * s_step },
        };
        rig.Enqueue(sample);
        rig.RunDry();
        Assert.That(sample.Result!.Reason, Is.EqualTo(CompletionReason.Timeout));
        Assert.That(first.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_time_limit_counts_from_enqueueing()
    {
        using var rig = new SchedulerRig();
        rig.Clock.Advance(TimeSpan.FromHours(1));
        Request request = rig.Enqueue(rig.NewRequest(maxTokens: 100, options: GenerationOptions.Default with { TimeLimit = 5 * s_step }));
        rig.RunDry();
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.Timeout, 5)));
    }

    [Test]
    public void Of_a_deadline_and_a_limit_the_earlier_holds()
    {
        using var rig = new SchedulerRig();
        Request byLimit = rig.Enqueue(rig.NewRequest(maxTokens: 100, deadline: 9 * s_step, options: GenerationOptions.Default with { TimeLimit = 2 * s_step }));
        Request byDeadline = rig.Enqueue(rig.NewRequest(maxTokens: 100, deadline: 4 * s_step, options: GenerationOptions.Default with { TimeLimit = 9 * s_step }));
        rig.RunDry();
        Assert.That((byLimit.Result!.TokensGenerated, byDeadline.Result!.TokensGenerated), Is.EqualTo((2, 4)));
    }

    [Test]
    public void The_longest_times_mean_never_not_now()
    {
        using var rig = new SchedulerRig();
        rig.Clock.Advance(TimeSpan.FromHours(1));
        Request limited = rig.Enqueue(rig.NewRequest(options: GenerationOptions.Default with { TimeLimit = TimeSpan.MaxValue }));
        var dated = new Request(RequestId.New(), "prompt", 4, CancellationToken.None, timeProvider: rig.Clock) { Deadline = DateTimeOffset.MaxValue };
        rig.Enqueue(dated);
        rig.RunDry();
        Assert.That(new[] { limited.Result!.Reason, dated.Result!.Reason }, Is.All.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_deadline_that_has_passed_is_refused_with_that_reason()
    {
        using var rig = new SchedulerRig();
        Request request = rig.NewRequest(deadline: -s_step);
        Assert.That(
            () => rig.Enqueue(request),
            Throws.TypeOf<RequestRejectedException>().With.Property("Reason").EqualTo(RejectionReason.DeadlineUnreachable).And.Message.Contains("passed"));
    }

    [Test]
    public void An_expired_request_does_not_count_as_the_most_urgent()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024));
        rig.Enqueue("running", 5);
        rig.Iterate();
        Request expired = rig.Enqueue(rig.NewRequest("expired", deadline: 2 * s_step, priority: Priority.Urgent));
        Request fresh = rig.Enqueue("fresh", 1);
        rig.RunDry();
        Assert.That(expired.Result!.Reason, Is.EqualTo(CompletionReason.Timeout));
        Assert.That(fresh.Result!.QueueTime, Is.EqualTo(4 * s_step));
    }

    [Test]
    public void Deadlines_count_as_failures_in_the_metrics()
    {
        using var rig = new SchedulerRig();
        rig.Enqueue(rig.NewRequest(maxTokens: 100, deadline: s_step));
        rig.RunDry();
        Assert.That(rig.Collector.GetRequestStatistics().FailedRequests, Is.EqualTo(1));
    }
}
