using System.Diagnostics.Metrics;

namespace MLFramework.Serving;

/// <summary>The batcher's instruments under <see cref="DynamicBatcher.MeterName"/>. Totals are observed when collected; only histograms are fed per batch, and only when somebody listens.</summary>
internal sealed class BatcherMeter : IDisposable
{
    private readonly Meter _meter;
    private readonly KeyValuePair<string, object?> _batcher;
    private readonly Histogram<int> _batchSize;
    private readonly Histogram<double> _batchDuration;
    private readonly Histogram<double> _requestWait;

    /// <param name="name">Value of the tag <c>batcher</c>.</param>
    /// <param name="factory">Scope of the meter, so that listeners of one container see only its batchers; or null.</param>
    /// <param name="statistics">Answers the current totals.</param>
    public BatcherMeter(string name, IMeterFactory? factory, Func<QueueStatistics> statistics)
    {
        _batcher = new("batcher", name);
        _meter = new Meter(new MeterOptions(DynamicBatcher.MeterName) { Scope = factory });
        _batchSize = _meter.CreateHistogram<int>("mlframework.serving.batch.size", "{request}", "Requests in a batch.");
        _batchDuration = _meter.CreateHistogram<double>("mlframework.serving.batch.duration", "s", "Time from taking a batch from the queue until its responses are delivered.");
        _requestWait = _meter.CreateHistogram<double>("mlframework.serving.request.wait", "s", "Time from submission until taken into a batch.");
        _meter.CreateObservableCounter("mlframework.serving.requests", () => Ended(statistics()), "{request}", "Requests that have ended, by outcome.");
        _meter.CreateObservableUpDownCounter("mlframework.serving.queue.length", () => new Measurement<int>(statistics().CurrentQueueSize, _batcher), "{request}", "Requests that wait.");
        _meter.CreateObservableUpDownCounter("mlframework.serving.batches.active", () => new Measurement<int>(statistics().ActiveBatches, _batcher), "{batch}", "Batches in the processor.");
        _meter.CreateObservableCounter("mlframework.serving.batch.retries", () => new Measurement<long>(statistics().BatchRetries, _batcher), "{batch}", "Batches processed again after a failure.");
        _meter.CreateObservableCounter("mlframework.serving.batch.splits", () => new Measurement<long>(statistics().BatchSplits, _batcher), "{batch}", "Failed batches cut in halves.");
    }

    public void BatchTaken<TRequest, TResponse>(RequestBatch<TRequest, TResponse> batch, in TimestampClock clock)
    {
        _batchSize.Record(batch.Requests.Count, _batcher);
        if (!_requestWait.Enabled)
        {
            return;
        }

        foreach (QueuedRequest<TRequest, TResponse> request in batch.Requests)
        {
            _requestWait.Record(clock.ToTimeSpan(Math.Max(0, batch.TakenAt - request.SubmittedAt)).TotalSeconds, _batcher);
        }
    }

    public void BatchEnded(TimeSpan duration) => _batchDuration.Record(duration.TotalSeconds, _batcher);

    public void Dispose() => _meter.Dispose();

    private Measurement<long>[] Ended(QueueStatistics totals) =>
    [
        Ended("completed", totals.CompletedRequests),
        Ended("failed", totals.FailedRequests),
        Ended("cancelled", totals.CancelledRequests),
        Ended("timed_out", totals.TimedOutRequests),
        Ended("rejected", totals.RejectedRequests),
        Ended("dropped", totals.DroppedRequests),
    ];

    private Measurement<long> Ended(string outcome, long count) => new(count, _batcher, new("outcome", outcome));
}
