namespace MLFramework.Serving;

/// <summary>Who waits for a batch, and who was told that one waits and is not back yet. Not thread-safe.</summary>
/// <remarks>The one that came last is woken first: its caches are warm.</remarks>
internal sealed class ConsumerRoster
{
    private readonly List<TaskCompletionSource> _idle = [];

    /// <summary>Whether somebody waits.</summary>
    public bool HasIdle => _idle.Count > 0;

    /// <summary>How many were woken and are not back: each will take a batch of what waits.</summary>
    public int Woken { get; private set; }

    /// <summary>Enters a consumer that waits.</summary>
    /// <returns>Completes when it is worth asking again.</returns>
    public TaskCompletionSource Register()
    {
        var signal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _idle.Add(signal);
        return signal;
    }

    /// <summary>Picks the consumer to wake; the caller completes its signal once it has released its lock.</summary>
    public TaskCompletionSource Wake()
    {
        TaskCompletionSource signal = _idle[^1];
        _idle.RemoveAt(_idle.Count - 1);
        Woken++;
        return signal;
    }

    /// <summary>A woken consumer is back.</summary>
    public void Returned() => Woken--;

    /// <summary>A consumer gives up, whether it waits or was woken meanwhile.</summary>
    public void GaveUp(TaskCompletionSource signal)
    {
        if (!_idle.Remove(signal))
        {
            Returned();
        }
    }
}
