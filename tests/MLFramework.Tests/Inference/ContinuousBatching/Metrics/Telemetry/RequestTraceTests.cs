using System.Diagnostics;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics.Telemetry;

/// <remarks>Activity listeners are heard by the whole process.</remarks>
[NonParallelizable]
public sealed class RequestTraceTests : IDisposable
{
    private const string Model = "tiny-1";

    private readonly VirtualTimeProvider _clock = new();
    private readonly List<Activity> _stopped = [];
    private readonly ActivityListener _listener;
    private ActivitySamplingResult _sampling = ActivitySamplingResult.AllDataAndRecorded;

    public RequestTraceTests()
    {
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "MLFramework.Inference",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => _sampling,
            ActivityStopped = _stopped.Add,
        };
        ActivitySource.AddActivityListener(_listener);
    }

    private Activity Ended => _stopped.Single();

    public void Dispose()
    {
        _listener.Dispose();
        Activity.Current = null;
    }

    [Test]
    public void Without_a_listener_there_is_no_trace()
    {
        _listener.Dispose();
        Assert.That(RequestTrace.Start(MakeRequest(), Model, Now), Is.Null);
    }

    [Test]
    public void A_request_that_is_not_sampled_has_no_trace()
    {
        _sampling = ActivitySamplingResult.None;
        Assert.That(RequestTrace.Start(MakeRequest(), Model, Now), Is.Null);
    }

    [Test]
    public void The_activity_is_an_internal_one_named_for_operation_and_model()
    {
        Start().Finished(Result(CompletionReason.StopString), Now);
        Assert.That(Ended.DisplayName, Is.EqualTo("text_completion tiny-1"));
        Assert.That(Ended.Kind, Is.EqualTo(ActivityKind.Internal));
        Assert.That(Ended.Source.Name, Is.EqualTo("MLFramework.Inference"));
    }

    [Test]
    public void A_model_without_a_name_leaves_the_operation()
    {
        RequestTrace.Start(MakeRequest(), null, Now)!.Finished(Result(CompletionReason.StopString), Now);
        Assert.That(Ended.DisplayName, Is.EqualTo("text_completion"));
        Assert.That(Ended.GetTagItem("gen_ai.request.model"), Is.Null);
    }

    [Test]
    public void The_callers_activity_is_its_parent_and_stays_current()
    {
        using Activity caller = new Activity("caller").Start();
        RequestTrace trace = Start();
        Assert.That(Activity.Current, Is.SameAs(caller));
        trace.Finished(Result(CompletionReason.StopString), Now);
        Assert.That(Activity.Current, Is.SameAs(caller));
        Assert.That(Ended.ParentSpanId, Is.EqualTo(caller.SpanId));
        Assert.That(Ended.TraceId, Is.EqualTo(caller.TraceId));
    }

    [Test]
    public void Without_a_parent_nothing_becomes_current()
    {
        RequestTrace trace = Start();
        Assert.That(Activity.Current, Is.Null);
        trace.Finished(Result(CompletionReason.StopString), Now);
        Assert.That(Activity.Current, Is.Null);
    }

    [Test]
    public void Ending_on_the_owner_thread_leaves_no_activity_there()
    {
        using Activity caller = new Activity("caller").Start();
        RequestTrace trace = Start();
        Activity? onOwner = caller;
        Thread owner;
        using (ExecutionContext.SuppressFlow())
        {
            owner = new Thread(() =>
            {
                trace.Finished(Result(CompletionReason.StopString), Now);
                onOwner = Activity.Current;
            });
            owner.Start();
        }

        Assert.That(owner.Join(TimeSpan.FromMinutes(1)), Is.True);
        Assert.That(onOwner, Is.Null);
        Assert.That(Ended.ParentSpanId, Is.EqualTo(caller.SpanId));
    }

    [Test]
    public void Events_tell_queue_prefill_preemption_and_decode_at_their_times()
    {
        RequestTrace trace = Start();
        trace.Scheduled(cachedTokens: 16, Later(10));
        trace.Preempted(PreemptionReason.NoBlocksLeft, Later(5));
        trace.Scheduled(cachedTokens: 32, Later(5));
        trace.FirstToken(Later(20));
        trace.Finished(Result(CompletionReason.MaxTokensReached), Later(60));

        DateTimeOffset start = Ended.StartTimeUtc;
        Assert.That(
            Ended.Events.Select(e => (e.Name, (e.Timestamp - start).TotalMilliseconds)),
            Is.EqualTo(new[] { ("queued", 0.0), ("scheduled", 10.0), ("preempted", 15.0), ("scheduled", 20.0), ("first_token", 40.0) }));
        Assert.That(Ended.Duration, Is.EqualTo(TimeSpan.FromMilliseconds(100)));
        Assert.That(Ended.Events.ElementAt(2).Tags, Is.EqualTo(new[] { new KeyValuePair<string, object?>("mlframework.preemption_reason", "no_blocks_left") }));
        Assert.That(Ended.Events.ElementAt(3).Tags, Is.EqualTo(new[] { new KeyValuePair<string, object?>("gen_ai.usage.cache_read.input_tokens", 32) }));
    }

    [Test]
    public void Attributes_tell_what_was_asked_and_what_came()
    {
        Request request = MakeRequest();
        request.Options = GenerationOptions.Default with { Temperature = 0.7f, Seed = 42, TopK = 40 };
        RequestTrace.Start(request, Model, Now)!.Finished(Result(CompletionReason.StopString), Now);
        var tags = Ended.TagObjects.ToDictionary();
        Assert.That(tags, Is.EqualTo(new Dictionary<string, object?>
        {
            ["gen_ai.operation.name"] = "text_completion",
            ["gen_ai.provider.name"] = "mlframework",
            ["gen_ai.request.model"] = Model,
            ["mlframework.request.id"] = request.Id.ToString(),
            ["gen_ai.request.max_tokens"] = 12,
            ["gen_ai.request.temperature"] = 0.7f,
            ["gen_ai.request.top_p"] = 1f,
            ["gen_ai.request.top_k"] = 40,
            ["gen_ai.request.frequency_penalty"] = 0f,
            ["gen_ai.request.presence_penalty"] = 0f,
            ["gen_ai.request.seed"] = 42,
            ["gen_ai.usage.input_tokens"] = 33,
            ["gen_ai.usage.output_tokens"] = 5,
            ["gen_ai.usage.cache_read.input_tokens"] = 16,
            ["mlframework.finish_reason"] = "stop_string",
            ["mlframework.preemptions"] = 1,
            ["mlframework.queue_time"] = 0.25,
            ["mlframework.time_to_first_token"] = 0.5,
        }));
        Assert.That(Ended.Status, Is.EqualTo(ActivityStatusCode.Ok));
    }

    [Test]
    public void A_failure_is_an_error_with_its_exception()
    {
        Start().Finished(Result(CompletionReason.Failed) with { Exception = new InvalidOperationException("no memory") }, Now);
        Assert.That((Ended.Status, Ended.StatusDescription), Is.EqualTo((ActivityStatusCode.Error, "no memory")));
        Assert.That(Ended.GetTagItem("error.type"), Is.EqualTo("System.InvalidOperationException"));
        ActivityEvent exception = Ended.Events.Last();
        Assert.That(exception.Name, Is.EqualTo("exception"));
        Assert.That(exception.Timestamp, Is.EqualTo(Now));
    }

    [Test]
    public void A_timeout_is_an_error()
    {
        Start().Finished(Result(CompletionReason.Timeout), Now);
        Assert.That(Ended.Status, Is.EqualTo(ActivityStatusCode.Error));
        Assert.That(Ended.GetTagItem("error.type"), Is.EqualTo("timeout"));
    }

    [Test]
    public void A_cancellation_is_neither_error_nor_success()
    {
        Start().Finished(Result(CompletionReason.Cancelled), Now);
        Assert.That(Ended.Status, Is.EqualTo(ActivityStatusCode.Unset));
        Assert.That(Ended.GetTagItem("mlframework.finish_reason"), Is.EqualTo("cancelled"));
        Assert.That(Ended.GetTagItem("error.type"), Is.Null);
    }

    [Test]
    public void A_refused_request_ends_its_activity_as_an_error()
    {
        Start().Rejected(RejectionReason.QueueDelay, Later(3));
        Assert.That(Ended.Status, Is.EqualTo(ActivityStatusCode.Error));
        Assert.That(Ended.GetTagItem("error.type"), Is.EqualTo("queue_delay"));
        Assert.That(Ended.Duration, Is.EqualTo(TimeSpan.FromMilliseconds(3)));
    }

    [Test]
    public void An_activity_that_is_only_propagated_carries_no_details()
    {
        _sampling = ActivitySamplingResult.PropagationData;
        RequestTrace trace = Start();
        trace.Scheduled(cachedTokens: 0, Now);
        trace.FirstToken(Now);
        trace.Finished(Result(CompletionReason.StopString), Now);
        Assert.That(Ended.Events, Is.Empty);
        Assert.That(Ended.GetTagItem("gen_ai.usage.output_tokens"), Is.Null);
    }

    private DateTimeOffset Now => _clock.GetUtcNow();

    private static Request MakeRequest() => new(RequestId.New(), "prompt", 12, CancellationToken.None);

    private static RequestResult Result(CompletionReason reason) =>
        new(RequestId.New(), "text", 5, reason, TimeSpan.FromSeconds(1))
        {
            QueueTime = TimeSpan.FromSeconds(0.25),
            TimeToFirstToken = TimeSpan.FromSeconds(0.5),
            PromptTokens = 33,
            CachedPromptTokens = 16,
            Preemptions = 1,
        };

    private RequestTrace Start() => RequestTrace.Start(MakeRequest(), Model, Now)!;

    private DateTimeOffset Later(double milliseconds)
    {
        _clock.Advance(TimeSpan.FromMilliseconds(milliseconds));
        return Now;
    }
}
