using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Collects what the scheduler measures and works statistics out of it.</summary>
/// <remarks>
/// Thread-safe. Recording is O(1); an iteration allocates nothing, a request its <see cref="RequestMetrics"/>. Reading is linear in the
/// kept samples; percentiles are sorted outside the lock, so that a reader never holds the scheduler up for long.
/// <para>
/// The scheduler tells an iteration and its batch at once (<see cref="IIterationObserver"/>). A caller of the plain
/// <see cref="ISchedulerMetrics"/> tells an iteration first and its batch's utilization after: the collector pairs them.
/// </para>
/// </remarks>
public sealed class SchedulerMetricsCollector : ISchedulerMetrics, IIterationObserver, IDisposable
{
    private readonly MetricsConfiguration _config;
    private readonly TimeProvider _timeProvider;
    private readonly MetricsLog? _log;
    private readonly Lock _lock = new();

    private readonly CircularBuffer<RequestMetrics> _requests;
    private readonly CircularBuffer<IterationSample> _iterations;
    private readonly CircularBuffer<BatchSample> _batches;
    private readonly SlidingWindowCounter _requestRate;
    private readonly SlidingWindowCounter _tokenRate;
    private readonly SlidingWindowCounter _iterationRate;
    private readonly Dictionary<string, long> _errors = [];

    private long _completed;
    private long _failed;
    private long _cancelled;
    private long _iterationCount;
    private long _batchCount;
    private long _errorCount;
    private DateTime _lastErrorTime;
    private string? _lastErrorMessage;

    /// <summary>The newest iteration has not been told its batch's utilization.</summary>
    private bool _iterationAwaitsBatch;

    // Tokens are told twice, as they are generated and when their request ends, or once by callers that record only one of the two.
    // A token counts when it is first heard of. Reset leaves these alone: a request may end after it whose tokens came before.
    private long _tokensInIterations;
    private long _tokensInRequests;
    private long _tokensCounted;

    /// <summary>Makes an empty collector; the time over which rates are taken begins now.</summary>
    /// <param name="config">What to keep and report.</param>
    /// <param name="timeProvider">The clock; null for the system's.</param>
    /// <param name="logger">Takes the summaries of <see cref="MetricsConfiguration.EnableDetailedLogging"/>; null for none.</param>
    /// <exception cref="ArgumentNullException"><paramref name="config"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A member of <paramref name="config"/> is out of its range.</exception>
    public SchedulerMetricsCollector(MetricsConfiguration config, TimeProvider? timeProvider = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        _config = config;
        _timeProvider = timeProvider ?? TimeProvider.System;
        _requests = new(config.MaxRequestSamples);
        _iterations = new(config.MaxIterationSamples);
        _batches = new(config.MaxBatchSamples);
        _requestRate = new(config.CounterWindowSeconds, _timeProvider);
        _tokenRate = new(config.CounterWindowSeconds, _timeProvider);
        _iterationRate = new(config.CounterWindowSeconds, _timeProvider);
        if (config.EnableDetailedLogging && logger is not null)
        {
            _log = new MetricsLog(this, logger, TimeSpan.FromSeconds(config.DetailedLogIntervalSeconds), _timeProvider);
        }
    }

    private DateTime Now => _timeProvider.GetUtcNow().UtcDateTime;

    /// <inheritdoc/>
    public void RecordIteration(IterationResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        lock (_lock)
        {
            var iteration = new IterationMeasurement
            {
                IterationNumber = result.IterationNumber,
                RequestCount = result.RequestCount,
                TokensGenerated = result.TokensGenerated,
                RequestsCompleted = result.RequestsCompleted,
                ProcessingTime = result.ProcessingTime,
                MemoryBytesUsed = result.MemoryBytesUsed,
                Utilization = double.NaN,
            };
            AddIteration_NeedsLock(new IterationSample(iteration, Now));
            _iterationAwaitsBatch = true;
        }
    }

    /// <inheritdoc/>
    public void RecordIteration(in IterationMeasurement iteration)
    {
        lock (_lock)
        {
            DateTime now = Now;
            AddIteration_NeedsLock(new IterationSample(iteration, now));
            AddBatch_NeedsLock(new BatchSample(iteration.BatchId, iteration.RequestCount, iteration.Utilization, iteration.MemoryBytesUsed, now));
        }
    }

    /// <inheritdoc/>
    public void RecordRequestCompletion(RequestResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        lock (_lock)
        {
            _requests.Add(new RequestMetrics(
                result.RequestId, result.TokensGenerated, result.Reason, result.QueueTime, result.ProcessingTime, result.TotalTime, Now));
            _requestRate.Add(1);
            _tokensInRequests += result.TokensGenerated;
            CountTokens_NeedsLock();
            switch (result.Reason)
            {
                case CompletionReason.Cancelled:
                    _cancelled++;
                    break;
                case CompletionReason.Timeout or CompletionReason.Failed:
                    _failed++;
                    break;
                default:
                    _completed++;
                    break;
            }
        }
    }

    /// <summary>
    /// A batch was computed: that of the iteration recorded last, unless that has its batch already. Then its size and memory stay unknown.
    /// </summary>
    /// <param name="utilization">Its size over the configured maximum, in percent, 0–100.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="utilization"/> is negative or no finite number.</exception>
    public void RecordBatchUtilization(double utilization)
    {
        if (!(utilization >= 0 && double.IsFinite(utilization)))
        {
            throw new ArgumentOutOfRangeException(nameof(utilization), utilization, "A utilization is a percentage, 0 to 100.");
        }

        lock (_lock)
        {
            var batch = new BatchSample(BatchSample.UnknownId, RequestCount: 0, utilization, MemoryBytesUsed: 0, Now);
            if (_iterationAwaitsBatch)
            {
                ref IterationSample newest = ref _iterations.Newest;
                IterationMeasurement iteration = newest.Measurement;
                newest = newest with { Measurement = iteration with { Utilization = utilization } };
                batch = batch with { RequestCount = iteration.RequestCount, MemoryBytesUsed = iteration.MemoryBytesUsed };
            }

            AddBatch_NeedsLock(batch);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException"><paramref name="errorType"/> is null or empty.</exception>
    /// <exception cref="ArgumentNullException"><paramref name="exception"/> is null.</exception>
    public void RecordError(string errorType, Exception exception)
    {
        ArgumentException.ThrowIfNullOrEmpty(errorType);
        ArgumentNullException.ThrowIfNull(exception);
        lock (_lock)
        {
            _errors[errorType] = _errors.GetValueOrDefault(errorType) + 1;
            _errorCount++;
            _lastErrorTime = Now;
            _lastErrorMessage = exception.Message;
        }
    }

    /// <summary>Statistics of the requests.</summary>
    public RequestStatistics GetRequestStatistics()
    {
        RequestTally tally;
        lock (_lock)
        {
            tally = TallyRequests_NeedsLock();
        }

        return tally.ToStatistics(_config.PercentilePrecision);
    }

    /// <summary>Statistics of the iterations.</summary>
    public IterationStatistics GetIterationStatistics()
    {
        lock (_lock)
        {
            return IterationStatistics_NeedsLock();
        }
    }

    /// <summary>Statistics of the batches.</summary>
    public BatchStatistics GetBatchStatistics()
    {
        lock (_lock)
        {
            return BatchStatistics_NeedsLock();
        }
    }

    /// <summary>Statistics of the errors.</summary>
    public ErrorStatistics GetErrorStatistics()
    {
        lock (_lock)
        {
            return ErrorStatistics_NeedsLock();
        }
    }

    /// <summary>All statistics of one moment.</summary>
    public MetricsSnapshot GetSnapshot()
    {
        RequestTally requests;
        IterationStatistics iterations;
        BatchStatistics batches;
        ErrorStatistics errors;
        DateTime now;
        lock (_lock)
        {
            requests = TallyRequests_NeedsLock();
            iterations = IterationStatistics_NeedsLock();
            batches = BatchStatistics_NeedsLock();
            errors = ErrorStatistics_NeedsLock();
            now = Now;
        }

        return new MetricsSnapshot(requests.ToStatistics(_config.PercentilePrecision), iterations, batches, errors, now);
    }

    /// <summary>The kept requests, in the order in which they ended.</summary>
    public IReadOnlyList<RequestMetrics> GetRecentRequests()
    {
        lock (_lock)
        {
            return [.. _requests];
        }
    }

    /// <summary>The kept iterations, oldest first.</summary>
    public IReadOnlyList<IterationMetrics> GetRecentIterations()
    {
        lock (_lock)
        {
            return [.. _iterations.Select(sample => sample.ToMetrics())];
        }
    }

    /// <summary>The kept batches, oldest first.</summary>
    public IReadOnlyList<BatchMetrics> GetRecentBatches()
    {
        lock (_lock)
        {
            return [.. _batches.Select(sample => sample.ToMetrics())];
        }
    }

    /// <summary>Forgets everything, totals included; the time over which rates are taken begins anew.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _requests.Clear();
            _iterations.Clear();
            _batches.Clear();
            _requestRate.Reset();
            _tokenRate.Reset();
            _iterationRate.Reset();
            _errors.Clear();
            _completed = _failed = _cancelled = 0;
            _iterationCount = _batchCount = _errorCount = 0;
            _lastErrorTime = DateTime.MinValue;
            _lastErrorMessage = null;
            _iterationAwaitsBatch = false;
        }
    }

    /// <summary>Ends the detailed logging. The collector can still be read and written.</summary>
    public void Dispose() => _log?.Dispose();

    private void AddIteration_NeedsLock(in IterationSample iteration)
    {
        _iterations.Add(iteration);
        _iterationCount++;
        _iterationRate.Add(1);
        _tokensInIterations += iteration.Measurement.TokensGenerated;
        CountTokens_NeedsLock();
    }

    private void AddBatch_NeedsLock(in BatchSample batch)
    {
        _batches.Add(batch);
        _batchCount++;
        _iterationAwaitsBatch = false;
    }

    private void CountTokens_NeedsLock()
    {
        long heardOf = Math.Max(_tokensInIterations, _tokensInRequests);
        if (heardOf > _tokensCounted)
        {
            _tokenRate.Add((int)(heardOf - _tokensCounted));
            _tokensCounted = heardOf;
        }
    }

    private RequestTally TallyRequests_NeedsLock() => new()
    {
        Completed = _completed,
        Failed = _failed,
        Cancelled = _cancelled,
        RequestsPerSecond = _requestRate.GetRate(),
        TokensPerSecond = _tokenRate.GetRate(),
        Samples =
        [
            .. _requests.Where(request =>
                request.Reason is not (CompletionReason.Cancelled or CompletionReason.Timeout or CompletionReason.Failed)),
        ],
    };

    private IterationStatistics IterationStatistics_NeedsLock()
    {
        double requests = 0;
        double tokens = 0;
        double memory = 0;
        double milliseconds = 0;
        double utilization = 0;
        int withUtilization = 0;
        for (int i = 0; i < _iterations.Count; i++)
        {
            IterationMeasurement iteration = _iterations[i].Measurement;
            requests += iteration.RequestCount;
            tokens += iteration.TokensGenerated;
            memory += iteration.MemoryBytesUsed;
            milliseconds += iteration.ProcessingTime.TotalMilliseconds;
            if (_iterations[i].HasUtilization)
            {
                utilization += iteration.Utilization;
                withUtilization++;
            }
        }

        int count = Math.Max(1, _iterations.Count);
        return new IterationStatistics(
            _iterationCount,
            (int)(requests / count),
            (int)(tokens / count),
            memory / count,
            milliseconds / count,
            _iterationRate.GetRate(),
            utilization / Math.Max(1, withUtilization));
    }

    private BatchStatistics BatchStatistics_NeedsLock()
    {
        double utilization = 0;
        double requests = 0;
        double memory = 0;
        int withSize = 0;
        int smallest = int.MaxValue;
        int largest = 0;
        for (int i = 0; i < _batches.Count; i++)
        {
            BatchSample batch = _batches[i];
            utilization += batch.Utilization;
            if (batch.HasSize)
            {
                requests += batch.RequestCount;
                memory += batch.MemoryBytesUsed;
                smallest = Math.Min(smallest, batch.RequestCount);
                largest = Math.Max(largest, batch.RequestCount);
                withSize++;
            }
        }

        return new BatchStatistics(
            _batchCount,
            requests / Math.Max(1, withSize),
            utilization / Math.Max(1, _batches.Count),
            memory / Math.Max(1, withSize),
            largest,
            withSize > 0 ? smallest : 0);
    }

    private ErrorStatistics ErrorStatistics_NeedsLock()
    {
        long requests = _completed + _failed + _cancelled;
        double rate = requests > 0 ? (double)_errorCount / requests : 0;
        return new ErrorStatistics(_errorCount, new Dictionary<string, long>(_errors), rate, _lastErrorTime)
        {
            LastErrorMessage = _lastErrorMessage,
        };
    }
}
