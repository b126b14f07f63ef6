using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Keeps an <see cref="ISchedulerMetrics"/> that throws from stopping the engine: the exception is logged.</summary>
internal sealed partial class GuardedMetrics(ISchedulerMetrics inner, ILogger logger) : ISchedulerMetrics, IIterationObserver
{
    private readonly IIterationObserver? _observer = inner as IIterationObserver;

    public void RecordIteration(IterationResult result) => Guard(static (m, r) => m.RecordIteration(r), result);

    public void RecordRequestCompletion(RequestResult result) => Guard(static (m, r) => m.RecordRequestCompletion(r), result);

    public void RecordBatchUtilization(double utilization) => Guard(static (m, u) => m.RecordBatchUtilization(u), utilization);

    public void RecordError(string errorType, Exception exception) =>
        Guard(static (m, e) => m.RecordError(e.errorType, e.exception), (errorType, exception));

    public void RecordIteration(in IterationMeasurement iteration)
    {
        if (_observer is null)
        {
            RecordIteration(new IterationResult(
                iteration.IterationNumber, iteration.RequestCount, iteration.TokensGenerated, iteration.RequestsCompleted, iteration.ProcessingTime, iteration.MemoryBytesUsed));
            RecordBatchUtilization(iteration.Utilization);
            return;
        }

        try
        {
            _observer.RecordIteration(iteration);
        }
        catch (Exception e)
        {
            LogFailure(logger, e);
        }
    }

    private void Guard<T>(Action<ISchedulerMetrics, T> record, T value)
    {
        try
        {
            record(inner, value);
        }
        catch (Exception e)
        {
            LogFailure(logger, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The ISchedulerMetrics threw; the measurement is lost.")]
    private static partial void LogFailure(ILogger logger, Exception exception);
}
