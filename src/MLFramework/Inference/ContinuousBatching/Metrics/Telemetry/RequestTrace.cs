using System.Diagnostics;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The activity of one request: <c>queued</c> at its start, <c>scheduled</c> when its prefill begins, <c>first_token</c> when its decode
/// begins, <c>preempted</c> (and <c>scheduled</c> again), and the result at its end.
/// </summary>
/// <remarks>
/// Started on the caller's thread, whose current activity becomes the parent, then written by the owner thread alone. It is never
/// <see cref="Activity.Current"/> on either. Its kind is Internal, as the conventions say of a model in the same process.
/// </remarks>
internal sealed class RequestTrace
{
    private static readonly ActivitySource Source = new(InferenceTelemetry.ActivitySourceName);

    private readonly Activity _activity;

    private RequestTrace(Activity activity) => _activity = activity;

    /// <summary>Begins a request's activity.</summary>
    /// <param name="request">The request, about to be enqueued.</param>
    /// <param name="modelName">Name of the model, if it has one.</param>
    /// <param name="now">When.</param>
    /// <returns>The trace; null when nobody listens.</returns>
    public static RequestTrace? Start(Request request, string? modelName, DateTimeOffset now) =>
        Source.HasListeners() ? StartListened(request, modelName, now) : null;

    /// <summary>The scheduler refused the request: the activity ends.</summary>
    public void Rejected(RejectionReason reason, DateTimeOffset at)
    {
        string name = TelemetryAttributes.Name(reason);
        _activity.SetTag(TelemetryAttributes.ErrorType, name);
        _activity.SetTag(TelemetryAttributes.RejectionReason, name);
        _activity.SetStatus(ActivityStatusCode.Error, "The scheduler refused the request.");
        Stop(at);
    }

    /// <summary>The request could not be taken for a mistake of its caller's: the activity ends.</summary>
    public void Refused(Exception error, DateTimeOffset at)
    {
        _activity.SetTag(TelemetryAttributes.ErrorType, error.GetType().FullName);
        _activity.SetStatus(ActivityStatusCode.Error, error.Message);
        Stop(at);
    }

    /// <summary>The request left the queue: its prefill begins, or begins again.</summary>
    /// <param name="cachedTokens">Tokens found in the prefix cache.</param>
    /// <param name="at">When.</param>
    public void Scheduled(int cachedTokens, DateTimeOffset at) =>
        AddEvent("scheduled", at, new("gen_ai.usage.cache_read.input_tokens", cachedTokens));

    /// <summary>The request has its first token: its decode begins.</summary>
    public void FirstToken(DateTimeOffset at) => AddEvent("first_token", at);

    /// <summary>The request gave up its blocks and went back to the queue.</summary>
    public void Preempted(PreemptionReason reason, DateTimeOffset at) =>
        AddEvent("preempted", at, new(TelemetryAttributes.PreemptionReason, TelemetryAttributes.Name(reason)));

    /// <summary>The request ended, and with it the activity.</summary>
    public void Finished(RequestResult result, DateTimeOffset at)
    {
        _activity.SetTag(TelemetryAttributes.FinishReason, TelemetryAttributes.Name(result.Reason));
        if (TelemetryAttributes.ErrorTypeOf(result) is { } errorType)
        {
            _activity.SetTag(TelemetryAttributes.ErrorType, errorType);
            _activity.SetStatus(ActivityStatusCode.Error, result.Exception?.Message);
        }
        else if (result.Reason != CompletionReason.Cancelled)
        {
            _activity.SetStatus(ActivityStatusCode.Ok);
        }

        if (_activity.IsAllDataRequested)
        {
            AddResult(result, at);
        }

        Stop(at);
    }

    private static RequestTrace? StartListened(Request request, string? modelName, DateTimeOffset now)
    {
        Activity? caller = Activity.Current;
        string name = modelName is null ? TelemetryAttributes.Operation : $"{TelemetryAttributes.Operation} {modelName}";
        try
        {
            Activity? activity = Source.StartActivity(name, ActivityKind.Internal, default(ActivityContext), startTime: now);
            if (activity is null)
            {
                return null;
            }

            if (activity.IsAllDataRequested)
            {
                AddRequest(activity, request, modelName);
            }

            var trace = new RequestTrace(activity);
            trace.AddEvent("queued", now);
            return trace;
        }
        finally
        {
            Activity.Current = caller;
        }
    }

    private static void AddRequest(Activity activity, Request request, string? modelName)
    {
        activity.SetTag(TelemetryAttributes.OperationName, TelemetryAttributes.Operation);
        activity.SetTag(TelemetryAttributes.ProviderName, TelemetryAttributes.Provider);
        activity.SetTag(TelemetryAttributes.RequestModel, modelName);
        activity.SetTag("mlframework.request.id", request.Id.ToString());
        activity.SetTag("gen_ai.request.max_tokens", request.MaxTokens);
        GenerationOptions options = request.Options ?? GenerationOptions.Default;
        activity.SetTag("gen_ai.request.temperature", options.Temperature);
        activity.SetTag("gen_ai.request.top_p", options.TopP);
        activity.SetTag("gen_ai.request.top_k", options.TopK);
        activity.SetTag("gen_ai.request.frequency_penalty", options.FrequencyPenalty);
        activity.SetTag("gen_ai.request.presence_penalty", options.PresencePenalty);
        activity.SetTag("gen_ai.request.seed", options.Seed);
    }

    private void AddResult(RequestResult result, DateTimeOffset at)
    {
        _activity.SetTag("gen_ai.usage.input_tokens", result.PromptTokens);
        _activity.SetTag("gen_ai.usage.output_tokens", result.TokensGenerated);
        _activity.SetTag("gen_ai.usage.cache_read.input_tokens", result.CachedPromptTokens);
        _activity.SetTag("mlframework.preemptions", result.Preemptions);
        _activity.SetTag("mlframework.queue_time", result.QueueTime.TotalSeconds);
        _activity.SetTag("mlframework.time_to_first_token", result.TimeToFirstToken?.TotalSeconds);
        if (result.Exception is { } error)
        {
            _activity.AddException(error, timestamp: at);
        }
    }

    private void AddEvent(string name, DateTimeOffset at, KeyValuePair<string, object?>? tag = null)
    {
        if (_activity.IsAllDataRequested)
        {
            _activity.AddEvent(new ActivityEvent(name, at, tag is { } pair ? new ActivityTagsCollection([pair]) : null));
        }
    }

    /// <summary>Stopping makes the caller's activity current, wherever it happens; the owner thread has no business with it.</summary>
    private void Stop(DateTimeOffset at)
    {
        Activity? current = Activity.Current;
        _activity.SetEndTime(at.UtcDateTime);
        _activity.Stop();
        Activity.Current = current;
    }
}
