namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Who drives the engine: the loop, a caller's iteration by hand, or nobody. Cancellations are the owner's to carry out; where there is none, whoever
/// cancels becomes the owner for as long as that takes. Thread-safe.
/// </summary>
internal sealed class EngineOwnership(IterationEngine engine, RequestRegistry registry, AsyncSignal wake, TimeProvider time)
{
    private const int Free = 0;
    private const int Taken = 1;

    private int _state;

    /// <summary>Becomes the owner.</summary>
    /// <exception cref="InvalidOperationException">Somebody is.</exception>
    public void Take()
    {
        if (!TryTake())
        {
            throw new InvalidOperationException("Somebody else drives the scheduler: its loop runs, or another iteration is under way. Only one may.");
        }
    }

    /// <summary>Stops being the owner, and carries out what was cancelled meanwhile by callers who found one.</summary>
    public void Release()
    {
        SetFree();
        CarryOutCancellations();
    }

    /// <summary>Wakes the owner; where there is none, carries the cancellations out at once.</summary>
    public void CarryOutCancellations()
    {
        wake.Set();
        while (registry.HasCancellations && TryTake())
        {
            try
            {
                engine.Drain(time.GetTimestamp());
            }
            finally
            {
                SetFree();
            }
        }
    }

    private bool TryTake() => Interlocked.CompareExchange(ref _state, Taken, Free) == Free;

    /// <summary>A full fence: the look for cancellations that follows must not be answered from before the release.</summary>
    private void SetFree() => Interlocked.Exchange(ref _state, Free);
}
