namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Receives what the scheduler measures. Called from its owner thread; an implementation must be quick and must not throw.</summary>
public interface ISchedulerMetrics
{
    /// <summary>An iteration ended that computed something.</summary>
    /// <param name="result">What it did.</param>
    void RecordIteration(IterationResult result);

    /// <summary>A request ended.</summary>
    /// <param name="result">How.</param>
    void RecordRequestCompletion(RequestResult result);

    /// <summary>A batch was computed.</summary>
    /// <param name="utilization">Its size over the configured maximum, in percent, 0–100.</param>
    void RecordBatchUtilization(double utilization);

    /// <summary>A run of the model failed, or a request did.</summary>
    /// <param name="errorType">Name of the kind of error.</param>
    /// <param name="exception">The error.</param>
    void RecordError(string errorType, Exception exception);
}
