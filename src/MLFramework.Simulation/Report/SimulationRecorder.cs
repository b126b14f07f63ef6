using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>
/// Gathers a report while a simulation runs: from the driver what arrives and is refused, from the executor's steps when requests start and
/// tokens appear, from the scheduler how requests end. It takes no time from the scheduler's own account, so that the two can be compared.
/// Constant work and no allocation per token.
/// </summary>
internal sealed class SimulationRecorder : ISchedulerMetrics, IIterationObserver
{
    private readonly TimeProvider _clock;
    private readonly long _origin;
    private readonly ServiceObjectives _objectives;
    private readonly FairnessMeter _fairness;
    private readonly long _cacheBytes;
    private readonly Action<RequestResult>? _requestEnded;
    private readonly Dictionary<RequestId, RequestTimeline> _alive = [];
    private readonly SortedDictionary<RejectionReason, int> _rejected = [];
    private readonly List<LatencyHistogram> _firstTokenByTenant = [];
    private readonly LatencyHistogram _queue = new();
    private readonly LatencyHistogram _firstToken = new();
    private readonly LatencyHistogram _interToken = new();
    private readonly LatencyHistogram _endToEnd = new();
    private readonly List<double> _waitErrors = [];
    private int _arrived;
    private int _completed;
    private int _timedOut;
    private int _cancelled;
    private int _failed;
    private int _metObjectives;
    private int _waiting;
    private int _peakWaiting;
    private int _preemptions;
    private long _promptTokens;
    private long _cachedTokens;
    private long _promptTokensServed;
    private long _generatedTokens;
    private long _batchSizes;
    private long _steps;
    private long _peakCacheBytes;
    private TimeSpan _lastEnd;
    private Exception? _fault;

    public SimulationRecorder(TimeProvider clock, SimulationOptions options)
    {
        KVCacheConfiguration cache = options.Preset.Cache;
        _clock = clock;
        _origin = clock.GetTimestamp();
        _objectives = options.EffectiveObjectives;
        _requestEnded = options.RequestEnded;
        _cacheBytes = cache.TotalBlocks * cache.BlockSize * cache.BytesPerToken;
        _fairness = new FairnessMeter(options.Policy.PromptTokenWeight, options.Policy.GeneratedTokenWeight);
    }

    /// <summary>Requests that arrived.</summary>
    public int Arrived => _arrived;

    /// <summary>Requests that arrived and have neither ended nor been refused.</summary>
    public int Alive => _alive.Count;

    /// <summary>Requests that have ended or were refused.</summary>
    public int Ended => _arrived - Alive;

    private TimeSpan Now => _clock.GetElapsedTime(_origin);

    /// <summary>A request arrived and is about to be submitted.</summary>
    public RequestTimeline Arrive(Arrival arrival, RequestId id)
    {
        _arrived++;
        int tenant = _fairness.Arrived(arrival);
        if (tenant == _firstTokenByTenant.Count)
        {
            _firstTokenByTenant.Add(new LatencyHistogram());
        }

        var timeline = new RequestTimeline(Now, arrival.PromptTokens, tenant);
        _alive.Add(id, timeline);
        return timeline;
    }

    /// <summary>The request was accepted and waits.</summary>
    public void Accept(RequestTimeline timeline)
    {
        _fairness.WaitBegan(timeline.Tenant);
        _peakWaiting = Math.Max(_peakWaiting, ++_waiting);
    }

    /// <summary>The request was refused at admission.</summary>
    public void Reject(RequestId id, RejectionReason reason)
    {
        _alive.Remove(id);
        _rejected[reason] = _rejected.GetValueOrDefault(reason) + 1;
    }

    /// <summary>The request is longer than the engine can ever take.</summary>
    public void RejectTooLong(RequestId id)
    {
        _alive.Remove(id);
        _failed++;
    }

    /// <summary>The executor is about to compute a batch.</summary>
    public void BeginStep(Batch batch)
    {
        for (int i = 0; i < batch.Size; i++)
        {
            RequestTimeline timeline = TimelineOf(batch.Requests[i]);
            if (timeline.Started is null)
            {
                timeline.Started = Now;
                EndWait(timeline);
            }
        }
    }

    /// <summary>The executor has computed a batch: its tokens appear now.</summary>
    public void EndStep(Batch batch)
    {
        TimeSpan now = Now;
        int batchTokens = 0;
        for (int i = 0; i < batch.Size; i++)
        {
            ScheduledTokens work = batch.Schedule[i];
            RequestTimeline timeline = TimelineOf(work.Request);
            int promptTokens = CountNewPromptTokens(timeline, work);
            _promptTokensServed += promptTokens;
            batchTokens += work.End;
            if (work.ProducesToken)
            {
                _generatedTokens++;
                RecordGap(timeline, timeline.AddToken(now));
            }

            _fairness.Served(timeline.Tenant, promptTokens, work.ProducesToken ? 1 : 0);
        }

        _steps++;
        _batchSizes += batch.Size;
        _fairness.StepEnded(batchTokens);
    }

    /// <inheritdoc/>
    public void RecordRequestCompletion(RequestResult result)
    {
        _alive.Remove(result.RequestId, out RequestTimeline? timeline);
        if (timeline!.Started is null)
        {
            EndWait(timeline);
        }

        _lastEnd = Now;
        _preemptions += result.Preemptions;
        switch (result.Reason)
        {
            case CompletionReason.Cancelled:
                _cancelled++;
                break;
            case CompletionReason.Timeout:
                _timedOut++;
                break;
            case CompletionReason.Failed:
                _failed++;
                break;
            default:
                RecordCompleted(result, timeline);
                break;
        }

        _requestEnded?.Invoke(result);
    }

    /// <inheritdoc/>
    public void RecordIteration(in IterationMeasurement iteration) =>
        _peakCacheBytes = Math.Max(_peakCacheBytes, iteration.MemoryBytesUsed);

    /// <inheritdoc/>
    /// <remarks>Not called: the scheduler calls the observer's method instead.</remarks>
    public void RecordIteration(IterationResult result) =>
        _peakCacheBytes = Math.Max(_peakCacheBytes, result.MemoryBytesUsed);

    /// <inheritdoc/>
    /// <remarks>The mean batch size says it, without a maximum to divide by.</remarks>
    public void RecordBatchUtilization(double utilization)
    {
    }

    /// <inheritdoc/>
    /// <remarks>The simulated model never fails, so whatever is reported here is a defect of the scheduler.</remarks>
    public void RecordError(string errorType, Exception exception) => _fault ??= exception;

    /// <summary>A simulation that ended must have seen every ending and no fault.</summary>
    /// <exception cref="InvalidOperationException">It did not.</exception>
    public void ThrowIfIncomplete()
    {
        if (_fault is not null)
        {
            throw new InvalidOperationException($"The scheduler reported a fault; the measurement is worth nothing: {_fault.Message}", _fault);
        }

        if (_alive.Count > 0)
        {
            throw new InvalidOperationException($"{_alive.Count} requests never ended, the first of them {_alive.Keys.First()}; the scheduler lost them.");
        }
    }

    /// <summary>What was measured so far.</summary>
    /// <param name="busy">Time for which the executor computed.</param>
    public SimulationReport Report(TimeSpan busy)
    {
        double seconds = _lastEnd.TotalSeconds;
        return new SimulationReport(
            seconds,
            new RequestCounts(_arrived, _completed, new SortedDictionary<RejectionReason, int>(_rejected), _timedOut, _cancelled, _failed),
            new LatencyReport(_queue.Summarize(), _firstToken.Summarize(), _interToken.Summarize(), _endToEnd.Summarize()),
            new ThroughputReport(
                Ratio(_completed, seconds),
                Ratio(_promptTokensServed, seconds),
                Ratio(_generatedTokens, seconds),
                _generatedTokens),
            new GoodputReport(
                Ratio(_metObjectives, seconds),
                Ratio(_metObjectives, _arrived),
                _objectives.TimeToFirstToken?.TotalMilliseconds,
                _objectives.MeanInterTokenLatency?.TotalMilliseconds,
                _objectives.P99InterTokenLatency?.TotalMilliseconds),
            new EngineReport(
                Ratio(busy.TotalSeconds, seconds),
                _steps,
                Ratio(_batchSizes, _steps),
                Ratio(_cachedTokens, _promptTokens),
                _preemptions,
                _peakWaiting,
                Ratio(_peakCacheBytes, _cacheBytes),
                MedianWaitError()),
            new FairnessReport(
                _fairness.JainIndex(),
                _fairness.ServiceDifference,
                _fairness.ServiceDifferenceBound,
                [.. _fairness.Tenants.Select((t, i) => new TenantReport(t.Name, t.Requests, t.Demand, t.Service, _firstTokenByTenant[i].Summarize()))]));
    }

    private double? MedianWaitError()
    {
        if (_waitErrors.Count == 0)
        {
            return null;
        }

        double[] sorted = [.. _waitErrors];
        Array.Sort(sorted);
        return sorted[sorted.Length / 2];
    }

    private static double Ratio(double part, double whole) => whole > 0 ? part / whole : 0;

    private static RequestTimeline TimelineOf(Request request) =>
        ((SimulatedRequest)request).Timeline ?? throw new InvalidOperationException($"Request {request.Id} was not announced to the recorder.");

    /// <summary>Prompt positions that this step computed for the first time.</summary>
    private static int CountNewPromptTokens(RequestTimeline timeline, ScheduledTokens work)
    {
        int end = Math.Min(work.End, timeline.PromptTokens);
        int fresh = Math.Max(0, end - Math.Max(work.Start, timeline.PromptServed));
        timeline.PromptServed = Math.Max(timeline.PromptServed, end);
        return fresh;
    }

    private void RecordCompleted(RequestResult result, RequestTimeline timeline)
    {
        _completed++;
        _promptTokens += result.PromptTokens;
        _cachedTokens += result.CachedPromptTokens;
        TimeSpan waited = timeline.Started!.Value - timeline.Arrived;
        _queue.Record(waited);
        if (timeline.EstimatedWait is { } estimate)
        {
            _waitErrors.Add(estimate == waited ? 0 : Math.Abs((estimate - waited).TotalSeconds) / waited.TotalSeconds);
        }

        _firstToken.Record(timeline.TimeToFirstToken);
        _firstTokenByTenant[timeline.Tenant].Record(timeline.TimeToFirstToken);
        _endToEnd.Record(_lastEnd - timeline.Arrived);
        if (MeetsObjectives(timeline))
        {
            _metObjectives++;
        }
    }

    private bool MeetsObjectives(RequestTimeline timeline) =>
        !(timeline.TimeToFirstToken > _objectives.TimeToFirstToken)
        && !(timeline.MeanGap > _objectives.MeanInterTokenLatency)
        && timeline.SlowGaps * 100 <= Math.Max(0, timeline.Tokens - 1);

    private void RecordGap(RequestTimeline timeline, TimeSpan? gap)
    {
        if (gap is { } g)
        {
            _interToken.Record(g);
            if (g > _objectives.P99InterTokenLatency)
            {
                timeline.SlowGaps++;
            }
        }
    }

    private void EndWait(RequestTimeline timeline)
    {
        _waiting--;
        _fairness.WaitEnded(timeline.Tenant);
    }
}
