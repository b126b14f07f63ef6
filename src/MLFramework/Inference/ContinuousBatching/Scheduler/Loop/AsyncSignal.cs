using System.Threading.Tasks.Sources;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Wakes one waiter. A signal given while nobody waits is kept for the next wait, so none is lost; several are one. Allocates nothing.
/// </summary>
internal sealed class AsyncSignal : IValueTaskSource
{
    private readonly Lock _lock = new();
    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };
    private bool _isSet;
    private bool _isWaiting;

    /// <summary>Gives the signal; from any thread.</summary>
    public void Set()
    {
        // Given and not yet taken: whoever takes it looks for work after that, and finds what we did before this line.
        if (Volatile.Read(ref _isSet))
        {
            return;
        }

        lock (_lock)
        {
            if (!_isWaiting)
            {
                _isSet = true;
                return;
            }

            // Under the lock: the waiter may see the result at once and wait again, and a core must not be reset while it still completes.
            // The continuation is posted, not run, here.
            _isWaiting = false;
            _core.SetResult(true);
        }
    }

    /// <summary>Waits for the signal and takes it. One waiter at a time.</summary>
    public ValueTask WaitAsync()
    {
        lock (_lock)
        {
            if (_isSet)
            {
                _isSet = false;
                return ValueTask.CompletedTask;
            }

            _core.Reset();
            _isWaiting = true;
            return new ValueTask(this, _core.Version);
        }
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
