using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The loop: iterates while there is work, looks again a few times when there is none, then parks until a signal. Begins, drains and ends.
/// </summary>
internal sealed partial class SchedulerLoop : IDisposable
{
    /// <summary>Longest wait, from idle, for <see cref="BatchConstraints.MinBatchSize"/> requests.</summary>
    internal static readonly TimeSpan LongestWaitForCompany = TimeSpan.FromMilliseconds(2);

    private readonly IterationEngine _engine;
    private readonly EngineOwnership _ownership;
    private readonly RequestQueue _queue;
    private readonly RequestRegistry _registry;
    private readonly SchedulerConfiguration _configuration;
    private readonly int _company;
    private readonly SchedulerLoopHost _host;
    private readonly AsyncSignal _wake;
    private readonly ITimer _alarm;
    private readonly GuardedMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Action _afterPass;
    private readonly Lock _lifecycle = new();
    private CancellationTokenSource _stopNow = new();
    private ITimer? _stopTimer;
    private bool _isRunning;
    private volatile bool _isStopping;

    public SchedulerLoop(
        IterationEngine engine,
        EngineOwnership ownership,
        RequestQueue queue,
        RequestRegistry registry,
        BatchConstraints constraints,
        SchedulerConfiguration configuration,
        SchedulerLoopHost host,
        AsyncSignal wake,
        GuardedMetrics metrics,
        TimeProvider time,
        ILogger logger,
        Action afterPass)
    {
        _engine = engine;
        _ownership = ownership;
        _queue = queue;
        _registry = registry;
        _configuration = configuration;
        _company = Math.Min(constraints.MinBatchSize, constraints.MaxBatchSize);
        _host = host;
        _wake = wake;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _afterPass = afterPass;
        _alarm = time.CreateTimer(static wake => ((AsyncSignal)wake!).Set(), wake, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Whether it runs, draining included.</summary>
    public bool IsRunning => Volatile.Read(ref _isRunning);

    /// <summary>The run begun last. It fails only with <see cref="InvariantViolationException"/>.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Begins to run, and to take requests.</summary>
    /// <exception cref="InvalidOperationException">It runs, or somebody else drives the engine.</exception>
    public void Start()
    {
        lock (_lifecycle)
        {
            if (_isRunning)
            {
                throw new InvalidOperationException("The scheduler runs already; stop it before starting it again.");
            }

            _ownership.Take();
            _isStopping = false;
            Volatile.Write(ref _isRunning, true);
            _registry.Open();
            Completion = _host.Run(RunAsync);
        }
    }

    /// <summary>Takes no more requests and ends the run when what was taken has ended, or after <paramref name="limit"/>.</summary>
    /// <returns>Whether there was a run to end.</returns>
    public bool TryStop(TimeSpan limit)
    {
        lock (_lifecycle)
        {
            _registry.Close();
            if (!_isRunning)
            {
                return false;
            }

            _isStopping = true;
            if (limit == TimeSpan.Zero)
            {
                StopNow(_stopNow);
            }
            else if (limit != Timeout.InfiniteTimeSpan && limit < TimeLimits.LongestTimer)
            {
                _stopTimer?.Dispose();
                CancellationTokenSource stopNow = _stopNow;
                _stopTimer = _time.CreateTimer(_ => StopNow(stopNow), null, limit, Timeout.InfiniteTimeSpan);
            }

            _wake.Set();
            return true;
        }
    }

    public void Dispose() => _alarm.Dispose();

    private async Task RunAsync()
    {
        int idlePasses = 0;
        bool fromIdle = true;
        while (!_isStopping || _registry.Count > 0)
        {
            if (_stopNow.IsCancellationRequested)
            {
                await EndAllAsync();
                continue;
            }

            if (fromIdle)
            {
                await WaitForCompanyAsync();
            }

            if (await IterateSafelyAsync())
            {
                idlePasses = 0;
                fromIdle = false;
            }
            else
            {
                fromIdle = true;
                await IdleAsync(idlePasses++);
            }
        }

        EndRun();
    }

    private async ValueTask EndAllAsync()
    {
        _engine.EndAll(CompletionReason.Cancelled, null);
        _afterPass();
        if (_registry.Count > 0)
        {
            // A caller is between registering and enqueueing; it will signal.
            await _wake.WaitAsync();
        }
    }

    /// <summary>Whether the pass did anything. A fault of our own fails what is alive, but never the loop.</summary>
    private async ValueTask<bool> IterateSafelyAsync()
    {
        try
        {
            IterationMeasurement done = await _engine.IterateAsync(_stopNow.Token);
            _afterPass();
            return done.RequestCount > 0 || done.RequestsCompleted > 0;
        }
        catch (Exception e) when (e is not InvariantViolationException)
        {
            LogFault(_logger, e);
            _metrics.RecordError("SchedulerFault", e);
            _engine.EndAll(CompletionReason.Failed, e);
            return true;
        }
    }

    /// <summary>From idle, a lone request waits a moment for others to share its first step with.</summary>
    private async ValueTask WaitForCompanyAsync()
    {
        if (_queue.IsEmpty || _queue.Count >= _company || _isStopping)
        {
            return;
        }

        long start = _time.GetTimestamp();
        TimeSpan left = LongestWaitForCompany;
        while (_queue.Count < _company && left > TimeSpan.Zero && !_isStopping && !_registry.HasCancellations)
        {
            _alarm.Change(left, Timeout.InfiniteTimeSpan);
            await _wake.WaitAsync();
            left = LongestWaitForCompany - _time.GetElapsedTime(start);
        }
    }

    /// <summary>Nothing to do: looks again a few times, then parks until a signal, the next time limit or the end of a stop.</summary>
    private async ValueTask IdleAsync(int pass)
    {
        if (pass < _configuration.MaxIdleIterations)
        {
            await Task.Yield();
            return;
        }

        long limit = _queue.NextLimit();
        long now = _time.GetTimestamp();
        _alarm.Change(
            limit == long.MaxValue ? Timeout.InfiniteTimeSpan : TimeLimits.ForTimer(_time.GetElapsedTime(now, Math.Max(now, limit))),
            Timeout.InfiniteTimeSpan);
        await _wake.WaitAsync();
    }

    private void EndRun()
    {
        lock (_lifecycle)
        {
            _alarm.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _stopTimer?.Dispose();
            _stopTimer = null;
            _stopNow = new CancellationTokenSource();
            Volatile.Write(ref _isRunning, false);
        }

        _ownership.Release();
    }

    /// <summary>Of a timer that fires late, <paramref name="stopNow"/> is that of a run that has ended, and nothing happens to the next.</summary>
    private void StopNow(CancellationTokenSource stopNow)
    {
        stopNow.Cancel();
        _wake.Set();
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "The scheduler itself failed; every request that was alive fails with this error, and the loop goes on. Please report it.")]
    private static partial void LogFault(ILogger logger, Exception exception);
}
