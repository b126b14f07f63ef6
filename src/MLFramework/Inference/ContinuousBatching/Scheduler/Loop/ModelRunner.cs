using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What came of running a batch.</summary>
/// <param name="Output">The executor's output, checked; null when the run failed.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="MayStillRun">The executor ignored its cancellation and may still read the batch.</param>
internal readonly record struct RunOutcome(BatchOutput? Output, Exception? Error, bool MayStillRun);

/// <summary>Runs batches on the executor: gives up those that take too long, checks what comes back. Owner thread only.</summary>
internal sealed partial class ModelRunner(IModelExecutor executor, int iterationTimeoutMs, int vocabularySize, TimeProvider time, ILogger logger) : IDisposable
{
    private const int ExpectationFactor = 10;

    private CancellationTokenSource _giveUp = new();
    private CancellationToken _linkedTo;
    private int[] _tokens = [];

    /// <summary>The tokens of the last successful run in the order of its batch, −1 where none was due.</summary>
    public ReadOnlySpan<int> Tokens => _tokens;

    /// <summary>How long the executor expects a batch to take; zero when it does not know or fails to say.</summary>
    public TimeSpan Expect(Batch batch)
    {
        try
        {
            TimeSpan expected = executor.EstimateDuration(batch);
            return expected > TimeSpan.Zero && expected < TimeSpan.FromDays(1) ? expected : TimeSpan.Zero;
        }
        catch (Exception e)
        {
            LogNoExpectation(logger, e);
            return TimeSpan.Zero;
        }
    }

    /// <summary>Runs a batch.</summary>
    /// <param name="batch">What to compute.</param>
    /// <param name="expected">What <see cref="Expect"/> says of it.</param>
    /// <param name="stop">Gives the run up from outside.</param>
    public async ValueTask<RunOutcome> RunAsync(Batch batch, TimeSpan expected, CancellationToken stop)
    {
        Task<BatchOutput> run;
        TimeSpan limit = TimeSpan.FromMilliseconds(iterationTimeoutMs);
        TimeSpan timeout = expected * ExpectationFactor > limit ? expected * ExpectationFactor : limit;
        LinkTo(stop);
        try
        {
            run = executor.ExecuteBatchAsync(batch, _giveUp.Token)
                ?? throw new ModelOutputException("The executor returned no task.");
        }
        catch (Exception e)
        {
            return new RunOutcome(null, e, MayStillRun: false);
        }

        try
        {
            BatchOutput output = run.IsCompleted ? await run : await run.WaitAsync(timeout, time, stop);
            if (_tokens.Length < batch.Size)
            {
                _tokens = new int[batch.Size * 2];
            }

            ModelOutputException? defect = OutputCheck.Validate(batch, output, vocabularySize, _tokens);
            return defect is null ? new RunOutcome(output, null, false) : new RunOutcome(null, defect, false);
        }
        catch (Exception e) when (run.IsCompleted)
        {
            return new RunOutcome(null, e, MayStillRun: false);
        }
        catch (Exception e)
        {
            // Not the executor's own ending: it takes too long, or the loop is to stop.
            Exception error = e is TimeoutException
                ? new TimeoutException($"The model did not finish an iteration of {batch.Size} requests and {batch.TokenCount} tokens within {timeout.TotalMilliseconds:0} ms (SchedulerConfiguration.IterationTimeoutMs).", e)
                : e;
            return new RunOutcome(null, error, MayStillRun: !await TryEndAsync(run, timeout));
        }
    }

    public void Dispose() => _giveUp.Dispose();

    /// <summary>
    /// An executor that computes on the caller's thread cannot be given up from here, so its token fires with <paramref name="stop"/>. That is the same for
    /// all iterations of a loop, and linking them costs nothing then.
    /// </summary>
    private void LinkTo(CancellationToken stop)
    {
        if (stop == _linkedTo) return;
        _giveUp.Dispose();
        (_giveUp, _linkedTo) = (CancellationTokenSource.CreateLinkedTokenSource(stop), stop);
    }

    /// <summary>Cancels a run and waits for it to end, so that the executor is not called while it still runs.</summary>
    private async ValueTask<bool> TryEndAsync(Task run, TimeSpan grace)
    {
        CancellationTokenSource giveUp = _giveUp;
        _giveUp = CancellationTokenSource.CreateLinkedTokenSource(_linkedTo);
        try
        {
            giveUp.Cancel();
        }
        catch (AggregateException e)
        {
            LogCancellationFailure(logger, e);
        }

        try
        {
            await run.WaitAsync(grace, time);
        }
        catch (Exception e) when (run.IsCompleted)
        {
            LogAbandonedRun(logger, e);
        }
        catch (TimeoutException)
        {
            LogStillRunning(logger, grace.TotalMilliseconds);
            _ = run.ContinueWith(
                static (t, state) => LogAbandonedRun((ILogger)state!, t.Exception), logger, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        }

        return run.IsCompleted;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The executor failed to estimate a batch's duration.")]
    private static partial void LogNoExpectation(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Debug, Message = "An iteration that was given up has ended.")]
    private static partial void LogAbandonedRun(ILogger logger, Exception? exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "A callback of the executor's cancellation token threw.")]
    private static partial void LogCancellationFailure(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The executor ignores its cancellation: {Grace} ms after an iteration was given up it still runs. It will be called again beside it.")]
    private static partial void LogStillRunning(ILogger logger, double grace);
}
