using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Batches requests at every iteration: requests join and leave the batch between two steps of the model, never waiting for one another
/// (iteration-level scheduling: Yu et al., "Orca", OSDI 2022; over paged KV blocks: Kwon et al., "PagedAttention", SOSP 2023).
/// </summary>
/// <remarks>
/// Thread-safe towards callers. One owner at a time drives it: the loop that <see cref="Start"/> begins, or a caller of
/// <see cref="ExecuteIterationAsync"/>. A request that is accepted ends exactly once.
/// </remarks>
public sealed partial class ContinuousBatchScheduler : IQueueOwner, IDisposable
{
    private readonly RequestQueue _queue;
    private readonly BatchManager _batches;
    private readonly CapacityManager _capacity;
    private readonly CompletionDetector _detector;
    private readonly SchedulerConfiguration _configuration;
    private readonly TimeProvider _time;
    private readonly SchedulerLoopHost _host;
    private readonly RequestRegistry _registry = new();
    private readonly WaitEstimator _estimator;
    private readonly AsyncSignal _wake = new();
    private readonly BusyShare _busy;
    private readonly SchedulerTelemetry _telemetry;
    private readonly ModelRunner _runner;
    private readonly RequestFinisher _finisher;
    private readonly IterationEngine _engine;
    private readonly RequestIntake _intake;
    private readonly EngineOwnership _ownership;
    private readonly SchedulerLoop _loop;
    private bool _isDisposed;

    /// <summary>Makes a scheduler of its parts.</summary>
    /// <param name="requestQueue">Waiting requests.</param>
    /// <param name="batchManager">Running requests; over the same queue.</param>
    /// <param name="completionDetector">Decides when responses are complete; its tokenizer encodes prompts.</param>
    /// <param name="capacityManager">Slots and memory.</param>
    /// <param name="modelExecutor">Runs the model.</param>
    /// <param name="metrics">Receives measurements.</param>
    /// <param name="configuration">How the loop behaves.</param>
    /// <param name="timeProvider">Clock; the queue's, which null stands for.</param>
    /// <param name="logger">Receives what operators should know; null for nobody.</param>
    /// <param name="loopHost">Where the loop runs; null for a thread of its own.</param>
    /// <exception cref="ArgumentNullException">A required argument is null.</exception>
    /// <exception cref="ArgumentException">The batch manager works on another queue.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A member of the configuration is out of its range.</exception>
    public ContinuousBatchScheduler(
        RequestQueue requestQueue,
        BatchManager batchManager,
        CompletionDetector completionDetector,
        CapacityManager capacityManager,
        IModelExecutor modelExecutor,
        ISchedulerMetrics metrics,
        SchedulerConfiguration configuration,
        TimeProvider? timeProvider = null,
        ILogger? logger = null,
        SchedulerLoopHost? loopHost = null)
    {
        ArgumentNullException.ThrowIfNull(requestQueue);
        ArgumentNullException.ThrowIfNull(batchManager);
        ArgumentNullException.ThrowIfNull(completionDetector);
        ArgumentNullException.ThrowIfNull(capacityManager);
        ArgumentNullException.ThrowIfNull(modelExecutor);
        ArgumentNullException.ThrowIfNull(metrics);
        ArgumentNullException.ThrowIfNull(configuration);
        configuration.Validate();
        if (batchManager.Queue != requestQueue)
        {
            throw new ArgumentException("The batch manager must work on the scheduler's queue, or what is enqueued would never run.", nameof(batchManager));
        }

        if (timeProvider is not null && timeProvider != requestQueue.TimeProvider)
        {
            throw new ArgumentException("The scheduler and its queue must read one clock, or waits and deadlines would mean nothing; give both the same TimeProvider.", nameof(timeProvider));
        }

        _queue = requestQueue;
        _batches = batchManager;
        _detector = completionDetector;
        _capacity = capacityManager;
        _configuration = configuration;
        _time = requestQueue.TimeProvider;
        logger ??= NullLogger.Instance;
        _host = loopHost ?? SchedulerLoopHost.DedicatedThread;
        _estimator = new WaitEstimator(_time);
        _busy = new BusyShare(_time);
        var guarded = new GuardedMetrics(metrics, logger);
        _telemetry = new SchedulerTelemetry(ReadGauges, modelExecutor.ModelName);
        _runner = new ModelRunner(modelExecutor, configuration.IterationTimeoutMs, completionDetector.Tokenizer.GetVocabSize(), _time, logger);
        _finisher = new RequestFinisher(_queue, _batches, _capacity, _registry, _detector, _estimator, guarded, _telemetry, _time, logger);
        _engine = new IterationEngine(
            _queue, _batches, _detector, _capacity, _registry, _finisher, _runner, _estimator, _busy, guarded, _telemetry, configuration, _time, logger);
        _intake = new RequestIntake(
            _queue, _registry, _batches, _detector.Tokenizer, modelExecutor, configuration.Admission, _telemetry, _time, EstimateWaitTime, s => Cancel(s));
        _ownership = new EngineOwnership(_engine, _registry, _wake, _time);
        _loop = new SchedulerLoop(
            _engine, _ownership, _queue, _registry, _batches.Constraints, configuration, _host, _wake, guarded, _time, logger, AfterPass);
        _queue.Owner = this;
        _capacity.Freed = _wake.Set;
    }

    /// <summary>Whether the loop runs, a loop that is draining included.</summary>
    public bool IsRunning => _loop.IsRunning;

    /// <summary>Requests that hold KV blocks now.</summary>
    public int ActiveRequestCount => _batches.ActiveRequestCount;

    /// <summary>Requests that wait, preempted ones included.</summary>
    public int QueuedRequestCount => _queue.Count;

    internal TimeProvider TimeProvider => _time;

    internal CompletionDetector Detector => _detector;

    internal RequestTotals Totals => _finisher.Totals;

    internal RequestQueue Queue => _queue;

    internal BatchManager Batches => _batches;

    internal CapacityManager Capacity => _capacity;

    internal RequestRegistry Registry => _registry;

    /// <summary>Told of every ending before its caller is. For clients' statistics; called on the owner's thread.</summary>
    internal event Action<Request, RequestResult>? RequestEnded
    {
        add => _finisher.Ended += value;
        remove => _finisher.Ended -= value;
    }

    /// <summary>Timestamp at which cancellations and time limits were last carried out.</summary>
    internal long LastDrain => _engine.LastDrain;

    /// <summary>The loop begun last. It fails only with <see cref="InvariantViolationException"/>.</summary>
    internal Task Loop => _loop.Completion;

    /// <summary>Told after every pass of the owner, also an empty one: the moment when all invariants hold. For tests and simulation.</summary>
    internal Action? AfterIteration { get; set; }

    /// <summary>Begins the loop.</summary>
    /// <exception cref="InvalidOperationException">It runs already, or somebody is inside <see cref="ExecuteIterationAsync"/>.</exception>
    /// <exception cref="ObjectDisposedException">The scheduler is disposed.</exception>
    public void Start()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed), this);
        _loop.Start();
        if (Volatile.Read(ref _isDisposed))
        {
            // Disposed by somebody who could not see the loop yet.
            _loop.TryStop(TimeSpan.Zero);
        }
    }

    /// <summary>
    /// Stops the loop: takes no more requests, lets what was accepted finish for so long, and ends the rest as cancelled. Stopping a scheduler that does
    /// not run cancels what it has accepted.
    /// </summary>
    /// <param name="timeout">How long accepted work may take; null for <see cref="SchedulerConfiguration.StopTimeout"/>, zero for not at all.</param>
    /// <returns>Completes when every accepted request has ended, but for those of an iteration by hand under way: they end with it. Never fails.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="timeout"/> is negative and not infinite.</exception>
    public Task StopAsync(TimeSpan? timeout = null)
    {
        TimeSpan limit = timeout ?? _configuration.StopTimeout;
        if (limit < TimeSpan.Zero && limit != Timeout.InfiniteTimeSpan)
        {
            throw new ArgumentOutOfRangeException(nameof(timeout), timeout, "The timeout must be zero, positive or Timeout.InfiniteTimeSpan.");
        }

        if (!_loop.TryStop(limit))
        {
            CancelAll();
        }

        return _loop.Completion;
    }

    /// <summary>Accepts a request.</summary>
    /// <param name="request">The request; it serves once.</param>
    /// <param name="priority">Its class, if higher than its own.</param>
    /// <returns>Its <see cref="Request.CompletionSource"/>'s task, or a task failed with <see cref="RequestRejectedException"/> if a bound was met.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="request"/> is null.</exception>
    /// <exception cref="ArgumentException">The request cannot be served as it is: no prompt or one that is too long, no tokens asked for, an option out of range, an id in use.</exception>
    /// <exception cref="NotSupportedException">It asks for what the executor cannot do.</exception>
    /// <exception cref="ObjectDisposedException">The scheduler is disposed.</exception>
    public Task<string> EnqueueAsync(Request request, Priority priority = Priority.Normal)
    {
        ArgumentNullException.ThrowIfNull(request);
        try
        {
            Admit(request, priority);
        }
        catch (RequestRejectedException e)
        {
            return Task.FromException<string>(e);
        }

        return request.CompletionSource.Task;
    }

    /// <summary>Runs one iteration by hand, for callers that drive the scheduler themselves.</summary>
    /// <param name="cancellationToken">Gives the iteration up; nothing of it is committed then.</param>
    /// <returns>What it did; no requests when there was nothing to compute.</returns>
    /// <exception cref="InvalidOperationException">The loop runs, or another call is under way.</exception>
    /// <exception cref="OperationCanceledException">The token fired before the model was done.</exception>
    /// <exception cref="ObjectDisposedException">The scheduler is disposed.</exception>
    public async Task<IterationResult> ExecuteIterationAsync(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed), this);
        cancellationToken.ThrowIfCancellationRequested();
        _ownership.Take();
        try
        {
            long start = _time.GetTimestamp();
            IterationMeasurement done = await _engine.IterateAsync(cancellationToken);
            AfterPass();
            cancellationToken.ThrowIfCancellationRequested();
            return new IterationResult(
                _engine.Iterations, done.RequestCount, done.TokensGenerated, done.RequestsCompleted, _time.GetElapsedTime(start), _batches.UsageBytes);
        }
        finally
        {
            _ownership.Release();
        }
    }

    /// <summary>Stops at once, cancelling what is alive, and refuses everything from then on. The parts that it was made of stay with their owner.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, true))
        {
            return;
        }

        Task loop = StopAsync(TimeSpan.Zero);
        _capacity.Freed = null;
        _telemetry.Dispose();
        _host.Join(loop);
        if (loop.IsCompleted)
        {
            _loop.Dispose();
            _runner.Dispose();
        }
    }

    /// <summary>One iteration with a model that answers at once, without the allocations of a task: what the loop does. For benchmarks.</summary>
    internal IterationMeasurement IterateOnce()
    {
        ValueTask<IterationMeasurement> iteration = _engine.IterateAsync(CancellationToken.None);
        return iteration.IsCompleted
            ? iteration.Result
            : throw new InvalidOperationException("The model did not answer at once.");
    }

    /// <summary>Cancels a request, wherever it is.</summary>
    /// <returns>True only if this call is what ends it.</returns>
    internal bool TryCancel(RequestId id) => _registry.TryFind(id, out Sequence? sequence) && Cancel(sequence);

    /// <summary>Cancels everything that is alive.</summary>
    /// <returns>How many requests this call ends.</returns>
    internal int CancelAll()
    {
        int cancelled = 0;
        foreach (Sequence sequence in _registry.Snapshot())
        {
            cancelled += _registry.TryCancel(sequence) ? 1 : 0;
        }

        _ownership.CarryOutCancellations();
        return cancelled;
    }

    /// <summary>How long a new request of a class would wait to be scheduled first; null while nothing is known.</summary>
    internal TimeSpan? EstimateWaitTime(Priority priority)
    {
        int running = _batches.ActiveRequestCount;
        (int ahead, long tokens) = _queue.CountAhead(priority);
        bool hasSlots = _batches.HasCapacity() && running + ahead < _batches.Constraints.MaxBatchSize;
        return _estimator.EstimateWait(ahead, tokens, running, hasSlots);
    }

    /// <summary>How long a response would take once it runs; null while nothing is known.</summary>
    internal TimeSpan? EstimateServiceTime(int tokens) => _estimator.EstimateService(tokens);

    /// <summary>Utilization of the device, or the share of recent time in which the executor computed, in percent.</summary>
    internal double ComputeUtilization() => _capacity.Gpu?.GetUtilization() ?? _busy.Percent();

    /// <summary>Mean batch utilization since the scheduler was made, in percent.</summary>
    internal double MeanBatchUtilization => _engine.MeanUtilization;

    /// <summary>Share of the KV cache that running requests hold, in percent.</summary>
    internal double MemoryUtilization() => _batches.Paged is { } paged
        ? 100.0 * paged.ReferencedBlocks / paged.TotalBlocks
        : Math.Clamp(100.0 * _batches.UsageBytes / _batches.Constraints.MaxMemoryBytes, 0, 100);

    private void AfterPass()
    {
        SchedulerInvariants.DebugCheck(this);
        AfterIteration?.Invoke();
    }

    void IQueueOwner.Admit(Request request, Priority priority) => Admit(request, priority);

    bool IQueueOwner.Cancel(Sequence sequence) => Cancel(sequence);

    private void Admit(Request request, Priority priority)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed), this);
        try
        {
            _intake.Admit(request, priority);
        }
        finally
        {
            // After a refusal, too: a loop that ends may be waiting for this request to be decided on.
            _wake.Set();
        }

        if (!_registry.IsOpen && !IsRunning)
        {
            // Stopped between registering and enqueueing, by somebody who could not see it yet; no loop will.
            TryCancel(request.Id);
        }
    }

    private bool Cancel(Sequence sequence)
    {
        bool cancelled = _registry.TryCancel(sequence);
        _ownership.CarryOutCancellations();
        return cancelled;
    }

    private SchedulerGauges ReadGauges() => new()
    {
        QueuedRequests = _queue.Count,
        QueuedTokens = _queue.CountAhead(Priority.Low).Tokens,
        RunningRequests = _batches.ActiveRequestCount,
        ReferencedBlocks = _batches.Paged?.ReferencedBlocks ?? 0,
        CachedBlocks = _batches.Paged?.CachedBlocks ?? 0,
        FreeBlocks = _batches.Paged?.FreeBlocks ?? 0,
    };
}
