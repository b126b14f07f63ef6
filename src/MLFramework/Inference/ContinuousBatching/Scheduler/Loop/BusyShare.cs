namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The share of recent time in which the executor computed: what stands for GPU utilization where no device tells. Thread-safe.</summary>
internal sealed class BusyShare(TimeProvider time)
{
    private const int Slots = 10;
    private static readonly TimeSpan s_slot = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly double[] _busySeconds = new double[Slots];
    private readonly long _origin = time.GetTimestamp();
    private long _newestSlot;

    /// <summary>The executor computed for so long, until now.</summary>
    public void Add(double seconds)
    {
        lock (_lock)
        {
            Advance_NeedsLock();
            // A long run fills the slots that it spans, newest first.
            for (long slot = _newestSlot; seconds > 0 && slot >= 0 && slot > _newestSlot - Slots; slot--)
            {
                double room = Math.Max(0, s_slot.TotalSeconds - _busySeconds[slot % Slots]);
                double part = Math.Min(room, seconds);
                _busySeconds[slot % Slots] += part;
                seconds -= part;
            }
        }
    }

    /// <summary>In percent of the last nine to ten seconds, or of the time since the start if that is less.</summary>
    public double Percent()
    {
        lock (_lock)
        {
            Advance_NeedsLock();
            // The newest slot has only begun: it counts for as much of itself as has passed.
            double elapsed = time.GetElapsedTime(_origin).TotalSeconds;
            double observed = Math.Min(elapsed, elapsed - ((_newestSlot - Slots + 1) * s_slot.TotalSeconds));
            double busy = 0;
            foreach (double seconds in _busySeconds)
            {
                busy += seconds;
            }

            return observed <= 0 ? 0 : Math.Clamp(100 * busy / observed, 0, 100);
        }
    }

    private void Advance_NeedsLock()
    {
        long slot = time.GetElapsedTime(_origin).Ticks / s_slot.Ticks;
        for (long s = Math.Max(_newestSlot + 1, slot - Slots + 1); s <= slot; s++)
        {
            _busySeconds[s % Slots] = 0;
        }

        _newestSlot = Math.Max(_newestSlot, slot);
    }
}
