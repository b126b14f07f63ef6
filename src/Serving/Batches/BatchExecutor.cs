using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace MLFramework.Serving;

/// <summary>Runs a batch through the processor, again or in halves when it fails, and hands out the answers.</summary>
/// <remarks>Awaits keep their context: everything runs on the scheduler that the batcher was given.</remarks>
internal sealed partial class BatchExecutor<TRequest, TResponse>(
    BatchingConfiguration configuration,
    CancellableBatchProcessor<TRequest, TResponse> processor,
    bool processorIsCancellable,
    TimestampClock clock,
    TaskScheduler scheduler,
    RequestCounters counters,
    BatchRecorder recorder,
    ILogger logger)
{
    private readonly ResponseScatterer<TRequest, TResponse> _scatterer = new();

    /// <summary>Answers every request of <paramref name="batch"/> whose caller has not gone.</summary>
    /// <returns>How many requests the processor took and how long, or null when it failed or had nothing to do.</returns>
    public async Task<(int Size, TimeSpan Duration)?> ExecuteAsync(RequestBatch<TRequest, TResponse> batch)
    {
        CancellationToken abandoned = processorIsCancellable ? batch.TrackCallers(scheduler) : CancellationToken.None;
        try
        {
            return await ExecuteWholeAsync(batch, abandoned);
        }
        finally
        {
            await batch.Turn; // a batch with nothing to deliver must not let its successors pass its predecessors
            batch.EndTurn();
        }
    }

    /// <summary>Ends with <paramref name="exception"/> whoever in <paramref name="batch"/> is still unanswered.</summary>
    public void Fail(RequestBatch<TRequest, TResponse> batch, Exception exception) => Answer(batch.Requests, null, exception);

    private async Task<(int Size, TimeSpan Duration)?> ExecuteWholeAsync(RequestBatch<TRequest, TResponse> batch, CancellationToken abandoned)
    {
        for (int attempt = 0; ; attempt++)
        {
            List<QueuedRequest<TRequest, TResponse>> requests = StillWanted(batch.Requests);
            if (requests.Count == 0)
            {
                return null;
            }

            long started = clock.Now;
            (List<TResponse>? responses, Exception? error) = await TryProcessAsync(requests, abandoned);
            TimeSpan duration = clock.ToTimeSpan(clock.Now - started);
            if (error is null)
            {
                await batch.Turn;
                Answer(requests, responses, null);
                return (requests.Count, duration);
            }

            if (attempt == configuration.MaxRetries || abandoned.IsCancellationRequested)
            {
                await EndFailedAsync(batch, requests, error, abandoned);
                return null;
            }

            Log.Retrying(logger, error, requests.Count, attempt + 1, configuration.MaxRetries);
            recorder.Retried();
            await Task.Delay(configuration.RetryDelay, clock.Provider, CancellationToken.None);
        }
    }

    private async Task ExecutePartAsync(RequestBatch<TRequest, TResponse> batch, List<QueuedRequest<TRequest, TResponse>> part, CancellationToken abandoned)
    {
        List<QueuedRequest<TRequest, TResponse>> requests = StillWanted(part);
        if (requests.Count == 0)
        {
            return;
        }

        (List<TResponse>? responses, Exception? error) = await TryProcessAsync(requests, abandoned);
        if (error is not null)
        {
            await EndFailedAsync(batch, requests, error, abandoned);
            return;
        }

        await batch.Turn;
        Answer(requests, responses, null);
    }

    private async Task EndFailedAsync(RequestBatch<TRequest, TResponse> batch, List<QueuedRequest<TRequest, TResponse>> requests, Exception error, CancellationToken abandoned)
    {
        if (abandoned.IsCancellationRequested)
        {
            return; // every caller has gone: nobody to answer, nothing to isolate
        }

        if (configuration.FailurePolicy == BatchFailurePolicy.Split && requests.Count > 1)
        {
            Log.Splitting(logger, error, requests.Count);
            recorder.Split();
            int half = (requests.Count + 1) / 2;
            await ExecutePartAsync(batch, requests[..half], abandoned);
            await ExecutePartAsync(batch, requests[half..], abandoned);
            return;
        }

        Log.Failed(logger, error, requests.Count);
        await batch.Turn;
        Answer(requests, null, error);
    }

    /// <summary>One call of the processor; whatever it does wrong comes back as an exception.</summary>
    private async ValueTask<(List<TResponse>? Responses, Exception? Error)> TryProcessAsync(List<QueuedRequest<TRequest, TResponse>> requests, CancellationToken abandoned)
    {
        try
        {
            // A processor that returns no task at all is as wrong as one whose task has no list.
            List<TResponse>? responses = processor(RequestBatch<TRequest, TResponse>.PayloadsOf(requests), abandoned) is { } running ? await running : null;
            return (responses, BatchResponseException.Check(requests.Count, responses));
        }
        catch (Exception e)
        {
            return (null, e); // delivered to the callers, by way of retry and split
        }
    }

    private void Answer(List<QueuedRequest<TRequest, TResponse>> requests, List<TResponse>? responses, Exception? error) =>
        counters.Add(error is null ? RequestOutcome.Completed : RequestOutcome.Failed, _scatterer.Scatter(requests, responses, error));

    /// <summary>The requests whose callers still wait; the list itself when that is all of them.</summary>
    private static List<QueuedRequest<TRequest, TResponse>> StillWanted(List<QueuedRequest<TRequest, TResponse>> requests)
    {
        foreach (QueuedRequest<TRequest, TResponse> request in CollectionsMarshal.AsSpan(requests))
        {
            if (request.Task.IsCompleted)
            {
                return requests.FindAll(r => !r.Task.IsCompleted);
            }
        }

        return requests;
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "A batch of {Count} requests failed; retry {Retry} of {MaxRetries}.")]
        public static partial void Retrying(ILogger logger, Exception error, int count, int retry, int maxRetries);

        [LoggerMessage(2, LogLevel.Warning, "A batch of {Count} requests failed; processing its halves to isolate the cause.")]
        public static partial void Splitting(ILogger logger, Exception error, int count);

        [LoggerMessage(3, LogLevel.Error, "{Count} requests failed with their batch.")]
        public static partial void Failed(ILogger logger, Exception error, int count);
    }
}
