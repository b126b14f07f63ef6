namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Gives running requests their slots and memory, and takes them back. Thread-safe.</summary>
public class CapacityManager
{
    private readonly CapacityConstraints _constraints;
    private readonly IGPUResourceManager? _gpu;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly Dictionary<RequestId, ResourceAllocation> _allocations = [];
    private long _memoryBytes;

    /// <summary>Makes a manager with everything free.</summary>
    /// <param name="constraints">What there is.</param>
    /// <param name="gpuResourceManager">Tells the device's own utilization; null for none.</param>
    /// <param name="timeProvider">Clock; null for the system's.</param>
    /// <exception cref="ArgumentNullException"><paramref name="constraints"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A constraint is out of its range.</exception>
    public CapacityManager(CapacityConstraints constraints, IGPUResourceManager? gpuResourceManager = null, TimeProvider? timeProvider = null)
    {
        ArgumentNullException.ThrowIfNull(constraints);
        constraints.Validate();
        _constraints = constraints;
        _gpu = gpuResourceManager;
        _time = timeProvider ?? TimeProvider.System;
    }

    /// <summary>Told, outside the lock, that capacity became free.</summary>
    internal Action? Freed { get; set; }

    internal IGPUResourceManager? Gpu => _gpu;

    /// <summary>Gives a request a slot and its memory.</summary>
    /// <param name="request">The request.</param>
    /// <param name="allocation">What it was given; zero slots when refused. A request that already holds an allocation gets that one.</param>
    /// <returns>False when slots, memory or concurrent requests are used up.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="request"/> is null.</exception>
    public bool TryAllocate(Request request, out ResourceAllocation allocation)
    {
        ArgumentNullException.ThrowIfNull(request);
        lock (_lock)
        {
            if (_allocations.TryGetValue(request.Id, out ResourceAllocation? held))
            {
                allocation = held;
                return true;
            }

            bool fits = CanFit_NeedsLock(1, _constraints.MemoryPerSlotBytes);
            allocation = new ResourceAllocation(
                request.Id, fits ? _constraints.MemoryPerSlotBytes : 0, fits ? 1 : 0, _time.GetUtcNow().UtcDateTime);
            if (fits)
            {
                _allocations.Add(request.Id, allocation);
                _memoryBytes += allocation.AllocatedMemoryBytes;
            }

            return fits;
        }
    }

    /// <summary>Takes back what a request holds; nothing happens when it holds nothing.</summary>
    /// <param name="requestId">The request.</param>
    public void Release(RequestId requestId)
    {
        lock (_lock)
        {
            if (!_allocations.Remove(requestId, out ResourceAllocation? allocation))
            {
                return;
            }

            _memoryBytes -= allocation.AllocatedMemoryBytes;
        }

        Freed?.Invoke();
    }

    /// <summary>Whether a batch would fit beside what is allocated.</summary>
    /// <param name="batchSize">Its requests.</param>
    /// <param name="memoryBytes">Its memory.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is negative.</exception>
    public bool CanFitBatch(int batchSize, long memoryBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(batchSize);
        ArgumentOutOfRangeException.ThrowIfNegative(memoryBytes);
        lock (_lock)
        {
            return CanFit_NeedsLock(batchSize, memoryBytes);
        }
    }

    /// <summary>How much is in use.</summary>
    public CapacityUtilization GetUtilization()
    {
        double? gpu = _gpu?.GetUtilization();
        lock (_lock)
        {
            return new CapacityUtilization(
                Percent(_allocations.Count, _constraints.MaxBatchSize),
                Percent(_memoryBytes, _constraints.MaxMemoryBytes),
                Percent(_allocations.Count, _constraints.MaxConcurrentRequests),
                gpu);
        }
    }

    /// <summary>What is free: slots, and bytes outside the buffer.</summary>
    public (int AvailableSlots, long AvailableMemoryBytes) GetAvailableCapacity()
    {
        lock (_lock)
        {
            return (
                Math.Max(0, Math.Min(_constraints.MaxBatchSize, _constraints.MaxConcurrentRequests) - _allocations.Count),
                Math.Max(0, _constraints.UsableMemoryBytes - _memoryBytes));
        }
    }

    /// <summary>
    /// Charges a request for the tokens that it holds by now, at <see cref="CapacityConstraints.MemoryPerTokenBytes"/>, or for its slot if that
    /// is more. A request that already runs is charged even beyond the limit; new ones are then refused.
    /// </summary>
    /// <param name="requestId">The request; nothing happens when it holds nothing.</param>
    /// <param name="tokens">Prompt and generated tokens.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="tokens"/> is negative.</exception>
    public void UpdateUsage(RequestId requestId, int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        lock (_lock)
        {
            if (!_allocations.TryGetValue(requestId, out ResourceAllocation? allocation))
            {
                return;
            }

            long bytes = Math.Max(_constraints.MemoryPerSlotBytes, tokens * _constraints.MemoryPerTokenBytes);
            if (bytes != allocation.AllocatedMemoryBytes)
            {
                _memoryBytes += bytes - allocation.AllocatedMemoryBytes;
                _allocations[requestId] = allocation with { AllocatedMemoryBytes = bytes };
            }
        }
    }

    /// <summary>Takes everything back from everybody.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _allocations.Clear();
            _memoryBytes = 0;
        }

        Freed?.Invoke();
    }

    /// <summary>Whether tokens are charged at all, so that the loop need not report them in vain.</summary>
    internal bool ChargesTokens => _constraints.MemoryPerTokenBytes > 0;

    internal int AllocationCount
    {
        get
        {
            lock (_lock)
            {
                return _allocations.Count;
            }
        }
    }

    private bool CanFit_NeedsLock(int slots, long memoryBytes) =>
        _allocations.Count + slots <= Math.Min(_constraints.MaxBatchSize, _constraints.MaxConcurrentRequests)
        && memoryBytes <= _constraints.UsableMemoryBytes - _memoryBytes;

    private static double Percent(double part, double whole) => Math.Clamp(100 * part / whole, 0, 100);
}
