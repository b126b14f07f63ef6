using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Admission;

/// <summary>What is taken and what is refused, why, and that nothing of it remains.</summary>
public class RequestIntakeTests
{
    private static readonly BatchConstraints s_oneAtATime = new(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 100);

    [Test]
    public void Too_many_requests_are_refused_with_the_wait()
    {
        using SchedulerRig rig = With(new AdmissionLimits(MaxQueuedRequests: 2));
        Teach(rig);
        rig.Enqueue("running", 20);
        rig.Iterate();
        rig.Enqueue();
        rig.Enqueue();
        RequestRejectedException error = Refuse(rig, rig.NewRequest());
        Assert.That(error.Reason, Is.EqualTo(RejectionReason.TooManyRequests));
        Assert.That(error.EstimatedWait, Is.EqualTo(rig.Client.EstimateWaitTime()).And.Not.Null);
        Assert.That(error.Message, Does.Contain("2 requests wait").And.Contain("try again in about"));
    }

    [Test]
    public void Too_many_tokens_are_refused_however_few_the_requests()
    {
        using SchedulerRig rig = With(new AdmissionLimits(MaxQueuedTokens: 50));
        rig.Enqueue(new string('x', 30));
        RequestRejectedException error = Refuse(rig, rig.NewRequest(new string('y', 21)));
        Assert.That((error.Reason, error.EstimatedWait), Is.EqualTo((RejectionReason.TooManyTokens, (TimeSpan?)null)));
        Assert.That(error.Message, Does.Contain("21 tokens").And.Contain("50").And.Contain("try again later"));
        rig.Enqueue(new string('z', 20));
    }

    [Test]
    public void A_wait_that_is_too_long_is_refused()
    {
        using SchedulerRig rig = With(new AdmissionLimits(MaxQueueDelay: TimeSpan.FromMilliseconds(100)));
        Teach(rig);
        rig.Enqueue("running", 10);
        rig.Iterate();
        int taken = 0;
        RequestRejectedException? error = null;
        while (error is null && taken < 100)
        {
            error = rig.Scheduler.EnqueueAsync(rig.NewRequest(maxTokens: 10)).Exception?.InnerException as RequestRejectedException;
            taken++;
        }

        Assert.That(error!.Reason, Is.EqualTo(RejectionReason.QueueDelay));
        Assert.That(error.EstimatedWait, Is.GreaterThan(TimeSpan.FromMilliseconds(100)));
        Assert.That(rig.Scheduler.EnqueueAsync(rig.NewRequest(), Priority.Urgent).IsFaulted, Is.False, "For the urgent the wait is short.");
    }

    [Test]
    public void While_nothing_is_known_no_wait_is_too_long()
    {
        using SchedulerRig rig = With(new AdmissionLimits(MaxQueueDelay: TimeSpan.FromTicks(1)));
        for (int i = 0; i < 20; i++)
        {
            rig.Enqueue();
        }
    }

    [Test]
    public void A_deadline_before_the_estimated_start_is_refused()
    {
        using SchedulerRig rig = With(AdmissionLimits.Default);
        Teach(rig);
        rig.Enqueue("running", 50);
        rig.Iterate();
        for (int i = 0; i < 20; i++)
        {
            rig.Enqueue(maxTokens: 20);
        }

        RequestRejectedException error = Refuse(rig, rig.NewRequest(deadline: TimeSpan.FromMilliseconds(20)));
        Assert.That(error.Reason, Is.EqualTo(RejectionReason.DeadlineUnreachable));
        Assert.That(error.EstimatedWait, Is.GreaterThan(TimeSpan.FromMilliseconds(20)));
        Assert.That(rig.Scheduler.EnqueueAsync(rig.NewRequest(deadline: TimeSpan.FromHours(1))).IsFaulted, Is.False);
    }

    [Test]
    public void A_prompt_that_does_not_fit_the_context_names_the_limit()
    {
        using SchedulerRig rig = With(AdmissionLimits.Default);
        var error = Assert.Catch<PromptTooLongException>(() => rig.Enqueue(new string('x', 100)));
        Assert.That((error!.PromptTokens, error.Limit), Is.EqualTo((100, 99)));
        Assert.That(error.Message, Does.Contain("100 tokens").And.Contain("at most 99").And.Contain("MaxSequenceLength"));
        Assert.That(() => rig.Enqueue(new string('x', 99)), Throws.Nothing);
    }

    [Test]
    public void A_prompt_that_does_not_fit_the_whole_cache_names_that_limit()
    {
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(2, BlockSize: 8));
        Assert.That(() => rig.Enqueue(new string('x', 16)), Throws.TypeOf<PromptTooLongException>().With.Property("Limit").EqualTo(15));
    }

    [Test]
    public void An_id_that_is_alive_cannot_be_used_again_and_one_that_has_ended_can()
    {
        using SchedulerRig rig = With(AdmissionLimits.Default);
        var id = RequestId.New();
        rig.Enqueue(new Request(id, "first", 1, CancellationToken.None));
        Assert.That(() => rig.Enqueue(new Request(id, "second", 1, CancellationToken.None)), Throws.ArgumentException.With.Message.Contains(id.ToString()));
        rig.RunDry();
        Assert.That(() => rig.Enqueue(new Request(id, "third", 1, CancellationToken.None)), Throws.Nothing);
    }

    [Test]
    public void Prompts_may_come_as_tokens_which_are_checked()
    {
        using SchedulerRig rig = With(AdmissionLimits.Default);
        Request request = rig.Enqueue(OfTokens([97, 98, 99]));
        rig.RunDry();
        Assert.That(request.Result!.PromptTokens, Is.EqualTo(3));
        Assert.That(() => rig.Enqueue(OfTokens([])), Throws.ArgumentException.With.Message.Contains("empty"));
        Assert.That(() => rig.Enqueue(OfTokens([97, -1])), Throws.ArgumentException.With.Message.Contains("-1"));
        Assert.That(() => rig.Enqueue(OfTokens([WordTokenizer.VocabularySize])), Throws.ArgumentException.With.Message.Contains("1099"));

        static Request OfTokens(int[] tokens) => new(RequestId.New(), string.Empty, 2, CancellationToken.None) { PromptTokenIds = tokens };
    }

    [Test]
    public void The_empty_id_and_null_are_no_requests()
    {
        using SchedulerRig rig = With(AdmissionLimits.Default);
        Assert.That(() => rig.Enqueue(new Request(RequestId.Empty, "p", 1, CancellationToken.None)), Throws.ArgumentException.With.Message.Contains("RequestId.New()"));
        Assert.That(() => rig.Scheduler.EnqueueAsync(null!), Throws.ArgumentNullException);
    }

    [Test]
    public void An_executor_that_knows_grammars_is_given_them()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor(b => DelegateExecutor.Answer(b)) { SupportsGrammar = true });
        Assert.That(() => rig.Enqueue(rig.NewRequest(options: GenerationOptions.Default with { Grammar = "root ::= 'a'" })), Throws.Nothing);
    }

    [Test]
    public void What_is_refused_leaves_nothing_and_may_be_sent_again()
    {
        using SchedulerRig rig = With(new AdmissionLimits(MaxQueuedRequests: 1));
        rig.Enqueue();
        Request refused = rig.NewRequest();
        Refuse(rig, refused);
        Assert.That(rig.Scheduler.Registry.Count, Is.EqualTo(1));
        Assert.That(refused.IsCompleted, Is.False);
        rig.RunDry();
        rig.Enqueue(refused);
        rig.RunDry();
        Assert.That(refused.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        rig.AssertIdle();
    }

    [Test]
    public void Bounds_hold_exactly_however_many_threads_enqueue()
    {
        const int Bound = 37;
        using SchedulerRig rig = With(new AdmissionLimits(MaxQueuedRequests: Bound));
        int taken = 0;
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < 50; i++)
            {
                if (!rig.Scheduler.EnqueueAsync(rig.NewRequest()).IsFaulted)
                {
                    Interlocked.Increment(ref taken);
                }
            }
        });
        Assert.That((taken, rig.Queue.Count, rig.Scheduler.Registry.Count), Is.EqualTo((Bound, Bound, Bound)));
    }

    [TestCase(0, 1L, null)]
    [TestCase(1, 0L, null)]
    [TestCase(1, 1L, 0)]
    public void Bounds_that_let_nothing_in_are_refused(int requests, long tokens, int? delaySeconds) =>
        Assert.That(
            new AdmissionLimits(requests, tokens, delaySeconds is { } s ? TimeSpan.FromSeconds(s) : null).Validate,
            Throws.TypeOf<ArgumentOutOfRangeException>());

    private static SchedulerRig With(AdmissionLimits limits) =>
        new(constraints: s_oneAtATime, configuration: SchedulerConfiguration.Default with { Admission = limits, WarmupIterations = 0 });

    /// <summary>Serves a few, so that the scheduler can estimate.</summary>
    private static void Teach(SchedulerRig rig)
    {
        rig.Enqueue("one", 10);
        rig.RunDry();
    }

    private static RequestRejectedException Refuse(SchedulerRig rig, Request request)
    {
        Task<string> task = rig.Scheduler.EnqueueAsync(request);
        Assert.That(task.IsFaulted, "It was taken.");
        return (RequestRejectedException)task.Exception!.InnerException!;
    }
}
