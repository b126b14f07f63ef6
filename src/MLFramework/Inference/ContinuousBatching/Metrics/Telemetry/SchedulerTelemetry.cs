using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>All instruments of one scheduler. A measurement that nobody listens to costs one branch.</summary>
/// <remarks>
/// Each scheduler has its own meter: disposing it ends its gauges and lets go of the scheduler. Schedulers of one process are told apart by
/// their model's name. Thread-safe.
/// </remarks>
internal sealed class SchedulerTelemetry : IDisposable
{
    // The conventions prescribe these boundaries, in seconds.
    private static readonly double[] RequestDurationBuckets =
        [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

    private static readonly double[] TimeToFirstTokenBuckets =
        [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

    private static readonly double[] TimePerOutputTokenBuckets =
        [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

    // These are our own.
    private static readonly double[] IterationDurationBuckets =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

    private static readonly int[] BatchSizeBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

    private readonly Histogram<double> _requestDuration;
    private readonly Histogram<double> _timeToFirstToken;
    private readonly Histogram<double> _timePerOutputToken;
    private readonly Histogram<double> _iterationDuration;
    private readonly Histogram<int> _batchSize;
    private readonly Counter<long> _finished;
    private readonly Counter<long> _rejected;
    private readonly Counter<long> _preempted;
    private readonly Counter<long> _errors;
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _generatedTokens;
    private readonly Counter<long> _prefixQueries;
    private readonly Counter<long> _prefixHits;

    /// <summary>The attributes of the <c>gen_ai</c> instruments.</summary>
    private readonly TagList _conventional;

    /// <summary>The attributes of our own: the model, if it has a name.</summary>
    private readonly TagList _own;

    /// <summary>Makes a scheduler's instruments.</summary>
    /// <param name="observe">Reads the scheduler's levels; called from any thread while the meter lives; must not throw.</param>
    /// <param name="modelName">Name of the model, if it has one.</param>
    public SchedulerTelemetry(Func<SchedulerGauges> observe, string? modelName)
    {
        _conventional.Add(TelemetryAttributes.OperationName, TelemetryAttributes.Operation);
        _conventional.Add(TelemetryAttributes.ProviderName, TelemetryAttributes.Provider);
        if (modelName is not null)
        {
            _conventional.Add(TelemetryAttributes.RequestModel, modelName);
            _own.Add(TelemetryAttributes.RequestModel, modelName);
        }

        Meter = new Meter(InferenceTelemetry.MeterName);
        _requestDuration = Histogram(
            "gen_ai.server.request.duration", "s", RequestDurationBuckets, "From accepting a request to its last output token or its failure.");
        _timeToFirstToken = Histogram(
            "gen_ai.server.time_to_first_token", "s", TimeToFirstTokenBuckets, "From accepting a request to its first token, for completed requests.");
        _timePerOutputToken = Histogram(
            "gen_ai.server.time_per_output_token", "s", TimePerOutputTokenBuckets, "Mean time per token after the first, for completed requests.");
        _iterationDuration = Histogram("mlframework.iteration.duration", "s", IterationDurationBuckets, "Duration of an iteration.");
        _batchSize = Histogram("mlframework.batch.size", "{request}", BatchSizeBuckets, "Requests computed in an iteration.");
        _finished = Counter("mlframework.request.finished", "{request}", "Requests that ended, by reason.");
        _rejected = Counter("mlframework.request.rejected", "{request}", "Requests refused before they were taken, by reason.");
        _preempted = Counter("mlframework.request.preempted", "{preemption}", "Times that a request gave up its KV blocks, by reason.");
        _errors = Counter("mlframework.error", "{error}", "Failed runs of the model and failed requests, by kind.");
        _promptTokens = Counter("mlframework.token.prompt", "{token}", "Prompt positions computed: without prefix hits, with recomputation.");
        _generatedTokens = Counter("mlframework.token.generated", "{token}", "Tokens generated.");
        _prefixQueries = Counter("mlframework.prefix_cache.query", "{token}", "Tokens that were looked up in the prefix cache.");
        _prefixHits = Counter("mlframework.prefix_cache.hit", "{token}", "Tokens that were found in the prefix cache.");
        CreateGauges(observe);
    }

    /// <summary>The meter that the instruments belong to.</summary>
    public Meter Meter { get; }

    /// <summary>An iteration ended that computed something.</summary>
    public void IterationCompleted(in IterationMeasurement iteration)
    {
        if (_iterationDuration.Enabled)
        {
            _iterationDuration.Record(iteration.ProcessingTime.TotalSeconds, _own);
        }

        if (_batchSize.Enabled)
        {
            _batchSize.Record(iteration.RequestCount, _own);
        }

        Add(_promptTokens, iteration.PrefillTokens);
        Add(_generatedTokens, iteration.TokensGenerated);
    }

    /// <summary>A request ended.</summary>
    public void RequestFinished(RequestResult result)
    {
        Add(_finished, TelemetryAttributes.FinishReason, TelemetryAttributes.Name(result.Reason));
        string? errorType = TelemetryAttributes.ErrorTypeOf(result);
        if (_requestDuration.Enabled)
        {
            TagList tags = _conventional;
            tags.Add(TelemetryAttributes.FinishReason, TelemetryAttributes.Name(result.Reason));
            if (errorType is not null)
            {
                tags.Add(TelemetryAttributes.ErrorType, errorType);
            }

            _requestDuration.Record(result.TotalTime.TotalSeconds, tags);
        }

        // The conventions ask for these two of successful responses only.
        if (errorType is null && result.Reason != CompletionReason.Cancelled && result.TimeToFirstToken is { } firstToken)
        {
            RecordTokenTimes(result, firstToken);
        }
    }

    /// <summary>A request was refused.</summary>
    public void RequestRejected(RejectionReason reason) =>
        Add(_rejected, TelemetryAttributes.RejectionReason, TelemetryAttributes.Name(reason));

    /// <summary>A request gave up its blocks.</summary>
    public void Preempted(PreemptionReason reason) =>
        Add(_preempted, TelemetryAttributes.PreemptionReason, TelemetryAttributes.Name(reason));

    /// <summary>A run of the model failed, or a request did.</summary>
    /// <param name="errorType">Name of the kind of error, of few.</param>
    public void Error(string errorType) => Add(_errors, TelemetryAttributes.ErrorType, errorType);

    /// <summary>A request's tokens were looked up in the prefix cache.</summary>
    /// <param name="queriedTokens">Tokens looked up.</param>
    /// <param name="cachedTokens">Those found.</param>
    public void PrefixLookup(int queriedTokens, int cachedTokens)
    {
        Add(_prefixQueries, queriedTokens);
        Add(_prefixHits, cachedTokens);
    }

    /// <summary>Ends the instruments: gauges are not read any more, measurements go nowhere.</summary>
    public void Dispose() => Meter.Dispose();

    private void RecordTokenTimes(RequestResult result, TimeSpan firstToken)
    {
        if (_timeToFirstToken.Enabled)
        {
            _timeToFirstToken.Record(firstToken.TotalSeconds, _conventional);
        }

        if (_timePerOutputToken.Enabled && result.TokensGenerated > 1)
        {
            _timePerOutputToken.Record((result.TotalTime - firstToken).TotalSeconds / (result.TokensGenerated - 1), _conventional);
        }
    }

    private void CreateGauges(Func<SchedulerGauges> observe)
    {
        Level("mlframework.request.queued", "{request}", "Requests that wait.", gauges => gauges.QueuedRequests);
        Level("mlframework.token.queued", "{token}", "Prompt tokens of the requests that wait.", gauges => gauges.QueuedTokens);
        Level("mlframework.request.running", "{request}", "Requests that hold KV blocks.", gauges => gauges.RunningRequests);
        Meter.CreateObservableGauge(
            "mlframework.kv_cache.utilization",
            () => new Measurement<double>(observe().BlockUtilization, _own),
            "1",
            "Share of the KV blocks that requests hold.");
        Meter.CreateObservableUpDownCounter("mlframework.kv_cache.blocks", () => Blocks(observe()), "{block}", "KV blocks, by state.");

        void Level(string name, string unit, string description, Func<SchedulerGauges, long> level) =>
            Meter.CreateObservableUpDownCounter(name, () => new Measurement<long>(level(observe()), _own), unit, description);
    }

    private Measurement<long>[] Blocks(SchedulerGauges gauges)
    {
        return [In("referenced", gauges.ReferencedBlocks), In("cached", gauges.CachedBlocks), In("free", gauges.FreeBlocks)];

        Measurement<long> In(string state, int blocks) => new(blocks, With("mlframework.kv_cache.state", state));
    }

    private Histogram<T> Histogram<T>(string name, string unit, T[] buckets, string description)
        where T : struct =>
        Meter.CreateHistogram(name, unit, description, null, new InstrumentAdvice<T> { HistogramBucketBoundaries = buckets });

    private Counter<long> Counter(string name, string unit, string description) => Meter.CreateCounter<long>(name, unit, description);

    private void Add(Counter<long> counter, long count)
    {
        if (counter.Enabled)
        {
            counter.Add(count, _own);
        }
    }

    private void Add(Counter<long> counter, string key, string value)
    {
        if (counter.Enabled)
        {
            counter.Add(1, With(key, value));
        }
    }

    private TagList With(string key, string value)
    {
        TagList tags = _own;
        tags.Add(key, value);
        return tags;
    }
}
