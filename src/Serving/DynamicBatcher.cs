using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace MLFramework.Serving;

/// <summary>
/// Groups single calls into batches: each caller submits one request and gets its own response, the processor sees lists.
/// </summary>
/// <typeparam name="TRequest">What a caller submits.</typeparam>
/// <typeparam name="TResponse">What a caller gets back.</typeparam>
/// <remarks>
/// <para>Thread-safe. Requests wait in a bounded, ranked queue; <see cref="BatchingConfiguration.MaxConcurrentBatches"/> consumers take
/// batches from it as soon as they are due, run the processor and hand out its responses. Nothing polls: consumers sleep until a
/// batch is due by count, cost or age.</para>
/// <para>Every request ends exactly once: with its response, the processor's exception, a cancellation, a timeout or a refusal.</para>
/// <para>A processor must not await the batcher that it serves: it would occupy the place that its request waits for.</para>
/// </remarks>
public class DynamicBatcher<TRequest, TResponse> : IDisposable, IAsyncDisposable
{
    private readonly BatchingConfiguration _configuration;
    private readonly Func<TRequest, int>? _costFunction;
    private readonly TimestampClock _clock;
    private readonly ILogger _logger;
    private readonly TaskScheduler _scheduler;
    private readonly RequestCounters _counters = new();
    private readonly BoundedRequestQueue<TRequest, TResponse> _queue;
    private readonly BatchBuilder<TRequest, TResponse> _builder;
    private readonly BatchExecutor<TRequest, TResponse> _executor;
    private readonly AdaptiveController? _adaptive;
    private readonly BatchRecorder _recorder;
    private readonly BatcherMeter _meter;
    private readonly Lock _lifecycle = new();
    private readonly RequestBatch<TRequest, TResponse>?[] _running; // by consumer
    private readonly Task _consumers;
    private Task? _shutdown;
    private bool _gaveUp;

    /// <summary>Makes a batcher and starts its consumers.</summary>
    /// <param name="config">Limits and policies; copied. A <see cref="BatchingConfiguration{TRequest}"/> also brings a cost function.</param>
    /// <param name="batchProcessor">Processes the batches.</param>
    /// <param name="timeProvider">Where time comes from. Default: the system clock.</param>
    /// <param name="logger">Where failed batches are reported. Default: nowhere; callers get their exceptions in any case.</param>
    /// <param name="meterFactory">Scope of the metrics. Default: none.</param>
    /// <param name="scheduler">Where consumers and processor run. Default: the thread pool.</param>
    /// <exception cref="ArgumentNullException"><paramref name="config"/> or <paramref name="batchProcessor"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A property of <paramref name="config"/> is out of range.</exception>
    /// <exception cref="ArgumentException"><paramref name="config"/> knows the cost of another type of request.</exception>
    public DynamicBatcher(
        BatchingConfiguration config,
        BatchProcessor<TRequest, TResponse> batchProcessor,
        TimeProvider? timeProvider = null,
        ILogger? logger = null,
        IMeterFactory? meterFactory = null,
        TaskScheduler? scheduler = null)
        : this(config, WithoutCancellation(batchProcessor), processorIsCancellable: false, timeProvider, logger, meterFactory, scheduler)
    {
    }

    /// <summary>Makes a batcher whose processor can be told that nobody wants its responses any more, and starts its consumers.</summary>
    /// <inheritdoc cref="DynamicBatcher{TRequest,TResponse}.DynamicBatcher(BatchingConfiguration,BatchProcessor{TRequest,TResponse},TimeProvider,ILogger,IMeterFactory,TaskScheduler)"/>
    public DynamicBatcher(
        BatchingConfiguration config,
        CancellableBatchProcessor<TRequest, TResponse> batchProcessor,
        TimeProvider? timeProvider = null,
        ILogger? logger = null,
        IMeterFactory? meterFactory = null,
        TaskScheduler? scheduler = null)
        : this(config, batchProcessor, processorIsCancellable: true, timeProvider, logger, meterFactory, scheduler)
    {
    }

    private DynamicBatcher(
        BatchingConfiguration config,
        CancellableBatchProcessor<TRequest, TResponse> batchProcessor,
        bool processorIsCancellable,
        TimeProvider? timeProvider,
        ILogger? logger,
        IMeterFactory? meterFactory,
        TaskScheduler? scheduler)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(batchProcessor);
        config.Validate();
        _configuration = config.Copy();
        _costFunction = CostFunctionOf(_configuration);
        _clock = new TimestampClock(timeProvider ?? TimeProvider.System);
        _logger = logger ?? NullLogger.Instance;
        _scheduler = scheduler ?? TaskScheduler.Default;
        _running = new RequestBatch<TRequest, TResponse>?[_configuration.MaxConcurrentBatches];

        // Whoever happens to make the batcher must not lend its ambient values (activity, culture, user) to every batch.
        using (ExecutionContext.IsFlowSuppressed() ? default(AsyncFlowControl?) : ExecutionContext.SuppressFlow())
        {
            _queue = new BoundedRequestQueue<TRequest, TResponse>(_configuration, _clock, _counters);
            _builder = new BatchBuilder<TRequest, TResponse>(_queue, _configuration);
            _adaptive = _configuration.TimeoutStrategy == TimeoutStrategy.Adaptive ? new AdaptiveController(_configuration, _clock) : null;
            _recorder = new BatchRecorder(_clock);
            _executor = new BatchExecutor<TRequest, TResponse>(_configuration, batchProcessor, processorIsCancellable, _clock, _scheduler, _counters, _recorder, _logger);
            _meter = new BatcherMeter(_configuration.Name ?? $"{typeof(TRequest).Name}→{typeof(TResponse).Name}", meterFactory, GetStatistics);
            _consumers = Task.WhenAll(Enumerable.Range(0, _running.Length).Select(consumer => Start(() => ConsumeAsync(consumer))));
        }
    }

    /// <summary>Submits a request.</summary>
    /// <param name="request">The payload.</param>
    /// <param name="cancellationToken">Withdraws the request while it waits; in flight, its response is discarded.</param>
    /// <returns>The response to this request. Its task ends in one of the exceptions below otherwise; continuations never run on a batcher's thread.</returns>
    /// <exception cref="InvalidOperationException">The queue is full, at once or after waiting for room; <see cref="QueueFullError.Is"/> tells it from a processor's own.</exception>
    /// <exception cref="RequestDroppedException">The request was dropped for a newer one.</exception>
    /// <exception cref="TimeoutException">No response came within <see cref="BatchingConfiguration.RequestTimeout"/>.</exception>
    /// <exception cref="BatchResponseException">The processor did not return one response for each request of the batch.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> fired, or the batcher was disposed before the response came.</exception>
    /// <exception cref="ObjectDisposedException">The batcher is disposed.</exception>
    /// <exception cref="ArgumentException">The request alone exceeds <see cref="BatchingConfiguration.MaxBatchCost"/>, or its cost is negative.</exception>
    /// <exception cref="Exception">Whatever the processor or the cost function has thrown.</exception>
    public Task<TResponse> ProcessAsync(TRequest request, CancellationToken cancellationToken = default) =>
        ProcessAsync(request, RequestPriority.Normal, cancellationToken);

    /// <summary>Submits a request of a given priority.</summary>
    /// <param name="request">The payload.</param>
    /// <param name="priority">Its class.</param>
    /// <param name="cancellationToken">Withdraws the request while it waits; in flight, its response is discarded.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="priority"/> is undefined.</exception>
    /// <inheritdoc cref="ProcessAsync(TRequest,CancellationToken)"/>
    public Task<TResponse> ProcessAsync(TRequest request, RequestPriority priority, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<TResponse>(cancellationToken);
        }

        QueuedRequest<TRequest, TResponse> queued;
        try
        {
            queued = new QueuedRequest<TRequest, TResponse>(request, priority, CostOf(request)) { Owner = _queue };
        }
        catch (Exception e)
        {
            return Task.FromException<TResponse>(e);
        }

        queued.CancelWith(cancellationToken);
        if (_configuration.RequestTimeout != Timeout.InfiniteTimeSpan)
        {
            queued.ExpireAfter(_configuration.RequestTimeout, _configuration.RequestTimeoutAction, _clock.Provider);
        }

        switch (_queue.Enqueue(queued))
        {
            case EnqueueResult.Full when queued.Fail(QueueFullError.Create(_queue.Capacity, TimeSpan.Zero)):
                _counters.Add(RequestOutcome.Rejected, 1);
                break;
            case EnqueueResult.Closed:
                queued.Fail(new ObjectDisposedException(GetType().Name));
                break;
        }

        return queued.Task;
    }

    /// <summary>State and history at this moment.</summary>
    public QueueStatistics GetStatistics()
    {
        (HistogramSnapshot sizes, HistogramSnapshot waits) = _recorder.Snapshot();
        return new QueueStatistics
        {
            CurrentQueueSize = _queue.Count,
            IsQueueFull = _queue.IsFull,
            IsQueueEmpty = _queue.IsEmpty,
            WaitingForRoom = _queue.OverflowCount,
            ActiveBatches = _recorder.Active,
            TotalBatches = sizes.Count,
            BatchRetries = _recorder.Retries,
            BatchSplits = _recorder.Splits,
            SubmittedRequests = _counters.Submitted,
            CompletedRequests = _counters[RequestOutcome.Completed],
            FailedRequests = _counters[RequestOutcome.Failed],
            CancelledRequests = _counters[RequestOutcome.Cancelled],
            TimedOutRequests = _counters[RequestOutcome.TimedOut],
            RejectedRequests = _counters[RequestOutcome.Rejected],
            DroppedRequests = _counters[RequestOutcome.Dropped],
            OverdueRequests = _counters.Overdue,
            BatchSizes = sizes,
            WaitTimes = waits,
            Adaptive = _adaptive?.Decision,
        };
    }

    /// <summary>
    /// Takes no more requests, cancels those that wait and returns at once. Batches in flight still deliver; what is unanswered
    /// after <see cref="BatchingConfiguration.DrainTimeout"/> is cancelled.
    /// </summary>
    public void Dispose()
    {
        _ = ShutDown(cancelWaiting: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// Takes no more requests, processes those that wait and completes when all are answered; what is unanswered after
    /// <see cref="BatchingConfiguration.DrainTimeout"/> is cancelled.
    /// </summary>
    public ValueTask DisposeAsync()
    {
        Task shutdown = ShutDown(cancelWaiting: false);
        GC.SuppressFinalize(this);
        return new ValueTask(shutdown);
    }

    private static CancellableBatchProcessor<TRequest, TResponse> WithoutCancellation(BatchProcessor<TRequest, TResponse> batchProcessor)
    {
        ArgumentNullException.ThrowIfNull(batchProcessor);
        return (requests, _) => batchProcessor(requests);
    }

    private static Func<TRequest, int>? CostFunctionOf(BatchingConfiguration configuration)
    {
        if (configuration is BatchingConfiguration<TRequest> typed)
        {
            return typed.CostFunction;
        }

        return configuration.RequestType is { } other
            ? throw new ArgumentException($"The configuration is for requests of type {other}, but the batcher's are {typeof(TRequest)}: its cost function could not be called.", nameof(configuration))
            : null;
    }

    private int CostOf(TRequest request)
    {
        int cost = _costFunction?.Invoke(request) ?? 1;
        if (cost < 0 || cost > _configuration.MaxBatchCost)
        {
            throw new ArgumentException(
                $"The request costs {cost}, but a cost must be between 0 and {nameof(BatchingConfiguration.MaxBatchCost)} ({_configuration.MaxBatchCost}). Split the request or raise the limit.",
                nameof(request));
        }

        return cost;
    }

    /// <summary>Runs <paramref name="work"/> on the batcher's scheduler, where its awaits then stay.</summary>
    private Task Start(Func<Task> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, _scheduler).Unwrap();

    /// <summary>One of <see cref="BatchingConfiguration.MaxConcurrentBatches"/> consumers: takes batches and runs them, one at a time, until the queue is closed and empty.</summary>
    private async Task ConsumeAsync(int consumer)
    {
        while (await _builder.BuildBatchAsync() is { Requests.Count: > 0 } batch)
        {
            SetRunning(consumer, batch);
            await RunAsync(batch);
            SetRunning(consumer, null);
        }
    }

    private void SetRunning(int consumer, RequestBatch<TRequest, TResponse>? batch)
    {
        bool tooLate;
        lock (_lifecycle)
        {
            _running[consumer] = batch;
            tooLate = _gaveUp;
        }

        if (tooLate)
        {
            batch?.Cancel();
        }
    }

    private async Task RunAsync(RequestBatch<TRequest, TResponse> batch)
    {
        _recorder.Started(batch);
        try
        {
            _meter.BatchTaken(batch, _clock);
            if (await _executor.ExecuteAsync(batch) is { } run && _adaptive?.Observe(run.Size, run.Duration, _counters.Submitted) == true)
            {
                _queue.SetTargetSize(_adaptive.Decision.TargetBatchSize);
            }

            _meter.BatchEnded(_clock.ToTimeSpan(_clock.Now - batch.TakenAt));
        }
        catch (Exception e)
        {
            // Not the processor: a logger or a metrics listener threw. The consumer and its callers survive that.
            _executor.Fail(batch, e);
        }
        finally
        {
            _recorder.Ended();
        }
    }

    private Task ShutDown(bool cancelWaiting)
    {
        lock (_lifecycle)
        {
            _queue.Close(cancelWaiting);
            return _shutdown ??= Start(FinishAsync);
        }
    }

    /// <summary>Waits for the consumers, then ends whatever they could not finish in time.</summary>
    private async Task FinishAsync()
    {
        try
        {
            await _consumers.WaitAsync(_configuration.DrainTimeout, _clock.Provider);
        }
        catch (TimeoutException)
        {
            _queue.Close(cancelWaiting: true);
            CancelRunning();
            _logger.LogWarning("The batcher did not drain within {DrainTimeout}; unanswered requests were cancelled.", _configuration.DrainTimeout);
        }
        finally
        {
            _meter.Dispose();
            _queue.Dispose();
        }
    }

    private void CancelRunning()
    {
        RequestBatch<TRequest, TResponse>?[] running;
        lock (_lifecycle)
        {
            _gaveUp = true; // a batch that was taken but is not listed yet is cancelled when it is
            running = [.. _running];
        }

        foreach (RequestBatch<TRequest, TResponse>? batch in running)
        {
            batch?.Cancel();
        }
    }
}
