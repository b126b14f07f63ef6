namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The one way out: frees what a request holds, reports how it ended, and completes its caller's task and stream. Owner thread only.
/// </summary>
internal sealed class RequestFinisher(
    RequestQueue queue,
    BatchManager batches,
    CapacityManager capacity,
    RequestRegistry registry,
    CompletionDetector detector,
    WaitEstimator estimator,
    ISchedulerMetrics metrics,
    SchedulerTelemetry telemetry,
    TimeProvider time)
{
    /// <summary>Told of every ending, after everything is freed and before the caller is.</summary>
    public Action<Request, RequestResult>? Ended { get; set; }

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

        batches.Stop(sequence);
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
        Totals.Count(reason);
        if (result.ProcessingTime > TimeSpan.Zero)
        {
            estimator.RecordService(result.ProcessingTime.TotalSeconds, result.TokensGenerated);
        }

        metrics.RecordRequestCompletion(result);
        telemetry.RequestFinished(result);
        sequence.Trace?.Finished(result, time.GetUtcNow());
        Ended?.Invoke(request, result);
        request.Stream?.Complete();
        Complete(request, result);
    }

    private RequestResult ResultOf(Sequence sequence, CompletionReason reason, Exception? error)
    {
        long now = time.GetTimestamp();
        long started = sequence.StartedTimestamp ?? now;
        Request request = sequence.Request;
        return new RequestResult(request.Id, detector.FinalText(request), request.GeneratedTokenIds.Count, reason, time.GetElapsedTime(started, now))
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
}
