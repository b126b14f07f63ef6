namespace MLFramework.Simulation;

/// <summary>
/// Completes a task after an exact duration. <see cref="Task.Delay(TimeSpan, TimeProvider)"/> cuts durations down to whole
/// milliseconds, which would shorten every simulated step; this keeps the clock's resolution, and one timer serves all waits.
/// </summary>
/// <typeparam name="T">What the task gives.</typeparam>
/// <remarks>
/// Not thread-safe: one wait at a time, on a clock whose timers fire on the waiting thread. Continuations run inside the timer: deferring them
/// would send those of <see cref="Task.WaitAsync(TimeSpan, TimeProvider)"/> to the thread pool, out of the simulation.
/// </remarks>
internal sealed class ExactTimer<T> : IDisposable
{
    private readonly ITimer _timer;
    private TaskCompletionSource<T>? _pending;
    private CancellationTokenRegistration _cancellation;
    private T? _result;

    /// <summary>Makes a timer of <paramref name="clock"/>.</summary>
    public ExactTimer(TimeProvider clock) =>
        _timer = clock.CreateTimer(static self => ((ExactTimer<T>)self!).Fire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    /// <summary>A task that gives <paramref name="result"/> after <paramref name="duration"/>, or is cancelled before.</summary>
    /// <exception cref="InvalidOperationException">The task given before has not ended.</exception>
    public Task<T> CompleteAfter(TimeSpan duration, T result, CancellationToken cancellationToken)
    {
        if (_pending is not null)
        {
            throw new InvalidOperationException("One wait at a time: await the task given before, or cancel it.");
        }

        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<T>(cancellationToken);
        }

        var pending = _pending = new TaskCompletionSource<T>();
        _result = result;
        _timer.Change(duration, Timeout.InfiniteTimeSpan);
        _cancellation = cancellationToken.UnsafeRegister(static (self, token) => ((ExactTimer<T>)self!).Cancel(token), this);
        return pending.Task;
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Fire()
    {
        if (_pending is { } pending)
        {
            _pending = null;
            _cancellation.Dispose();
            pending.SetResult(_result!);
        }
    }

    private void Cancel(CancellationToken cancellationToken)
    {
        _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (_pending is { } pending)
        {
            _pending = null;
            pending.SetCanceled(cancellationToken);
        }
    }
}
