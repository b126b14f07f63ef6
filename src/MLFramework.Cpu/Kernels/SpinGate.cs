namespace MLFramework.Cpu;

/// <summary>A counter that threads wait for: they spin for some microseconds, then sleep until they are woken.</summary>
internal sealed class SpinGate
{
    /// <summary>About eighty microseconds: longer than the phases of a pass differ, shorter than a time slice.</summary>
    private const int SpinLimit = 2800;

    /// <summary>One pause between two looks takes 30 ns on Zen 5; with more of them an opened gate would be noticed later.</summary>
    private const int PausesPerSpin = 1;

    private readonly object _parking = new();
    private int _count;
    private int _parked;

    /// <summary>How often the gate was opened.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Opens the gate once more. Callers take turns.</summary>
    public void Open()
    {
        // An interlocked operation, so that the count is visible before the sleepers are looked for.
        Interlocked.Increment(ref _count);
        if (Volatile.Read(ref _parked) == 0) return;
        lock (_parking) Monitor.PulseAll(_parking);
    }

    /// <summary>Waits until the gate has been opened since it was read.</summary>
    /// <param name="seen">The <see cref="Count"/> that was read.</param>
    public void WaitPast(int seen)
    {
        for (int spin = 0; spin < SpinLimit; spin++)
        {
            if (Count != seen) return;
            Thread.SpinWait(PausesPerSpin);
        }
        Interlocked.Increment(ref _parked);
        lock (_parking)
            while (Count == seen) Monitor.Wait(_parking);
        Interlocked.Decrement(ref _parked);
    }
}
