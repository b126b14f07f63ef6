using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The one way out: frees what a request holds, reports how it ended, and completes its caller's task and stream. Owner thread only.
/// </summary>
internal sealed partial class RequestFinisher(
    RequestQueue queue,
    BatchManager batches,
    CapacityManager capacity,
    RequestRegistry registry,
    CompletionDetector detector,
    WaitEstimator estimator,
    ISchedulerMetrics metrics,
    SchedulerTelemetry telemetry,
    TimeProvider time,
    ILogger logger)
{
    /// <summary>Told of every ending, after everything is freed and before the caller is.</summary>
    public event Action<Request, RequestResult>? Ended;

    /// <summary>Requests ended so far, by how: completed, failed, cancelled.</summary>
    public RequestTotals Totals { get; } = new();

    /// <summary>
    /// Ends a request. If its caller cancelled it first, it ends as cancelled, whatever else is true of it by now.
    /// </summary>
    /// <param name="sequence">The request's sequence; nothing happens when it has ended before.</param>
    /// <param name="reason">Why.</param>
    /// <param name="error">What went wrong, for a timeout or failure.</param>
    public void End(Sequence sequence, CompletionReason reason, Exception? error = null)
    {
        if (sequence.State == SequenceState.Ended)
        {
            return;
        }

        if (!sequence.TryClose())
        {
            reason = CompletionReason.Cancelled;
            error = null;
        }

        if (sequence.State == SequenceState.Waiting)
        {
            queue.TryTake(sequence);
        }

        try
        {
            batches.Stop(sequence);
        }
        catch (Exception e)
        {
            LogReleaseFailure(logger, sequence.Request.Id, e);
        }

        capacity.Release(sequence.Request.Id);
        Report(sequence, reason, error);
    }

    private void Report(Sequence sequence, CompletionReason reason, Exception? error)
    {
        Request request = sequence.Request;
        RequestResult result = ResultOf(sequence, reason, error);
        request.Result = result;
        request.IsCompleted = true;
        registry.Remove(sequence);
        Totals.Count(result.Reason);
        if (result.ProcessingTime > TimeSpan.Zero)
        {
            estimator.RecordService(result.ProcessingTime.TotalSeconds, result.TokensGenerated);
        }

        metrics.RecordRequestCompletion(result);
        Tell(sequence, result);
        request.Stream?.Complete();
        Complete(request, result);
    }

    /// <summary>Tells observers, whose exceptions must not keep the caller from being told.</summary>
    private void Tell(Sequence sequence, RequestResult result)
    {
        try
        {
            telemetry.RequestFinished(result);
            sequence.Trace?.Finished(result, time.GetUtcNow());
            Ended?.Invoke(sequence.Request, result);
        }
        catch (Exception e)
        {
            LogObserverFailure(logger, sequence.Request.Id, e);
        }
    }

    private RequestResult ResultOf(Sequence sequence, CompletionReason reason, Exception? error)
    {
        long now = time.GetTimestamp();
        long started = sequence.StartedTimestamp ?? now;
        Request request = sequence.Request;
        string text = string.Empty;
        try
        {
            text = detector.FinalText(request);
        }
        catch (Exception e)
        {
            // A tokenizer that cannot decode what its model generated. Whoever was to be failed or cancelled anyway stays so.
            LogDecodeFailure(logger, request.Id, e);
            if (reason != CompletionReason.Cancelled && error is null)
            {
                reason = CompletionReason.Failed;
                error = e;
            }
        }

        return new RequestResult(request.Id, text, request.GeneratedTokenIds.Count, reason, time.GetElapsedTime(started, now))
        {
            QueueTime = time.GetElapsedTime(sequence.EnqueuedTimestamp, started),
            TimeToFirstToken = sequence.FirstTokenTimestamp is { } first ? time.GetElapsedTime(sequence.EnqueuedTimestamp, first) : null,
            PromptTokens = sequence.PromptLength,
            CachedPromptTokens = sequence.CachedPromptTokens,
            Preemptions = sequence.Preemptions,
            LogProbs = sequence.LogProbs,
            Error = error?.Message,
            Exception = error,
        };
    }

    private static void Complete(Request request, RequestResult result)
    {
        if (result.Reason == CompletionReason.Cancelled)
        {
            if (request.CancellationToken.IsCancellationRequested)
            {
                request.CompletionSource.TrySetCanceled(request.CancellationToken);
            }
            else
            {
                request.CompletionSource.TrySetCanceled();
            }
        }
        else if (result.Exception is { } error)
        {
            request.CompletionSource.TrySetException(error);
        }
        else
        {
            request.CompletionSource.TrySetResult(result.GeneratedText);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The cache manager threw when request {RequestId} ended; what the request held may be lost.")]
    private static partial void LogReleaseFailure(ILogger logger, RequestId requestId, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The tokenizer could not decode the response of request {RequestId}; it ends without text.")]
    private static partial void LogDecodeFailure(ILogger logger, RequestId requestId, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "A listener threw when it was told that request {RequestId} ended.")]
    private static partial void LogObserverFailure(ILogger logger, RequestId requestId, Exception exception);
}
