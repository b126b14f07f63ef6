using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Every request that was accepted and has not ended, and the cancellations that the owner thread has yet to carry out. Closing it is
/// atomic with accepting: once it is closed and empty, nothing can be lost. Thread-safe.
/// </summary>
internal sealed class RequestRegistry
{
    private readonly Lock _lock = new();
    private readonly Dictionary<RequestId, Sequence> _live = [];
    private readonly ConcurrentQueue<Sequence> _cancelled = new();
    private bool _isOpen = true;

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _live.Count;
            }
        }
    }

    public bool IsOpen
    {
        get
        {
            lock (_lock)
            {
                return _isOpen;
            }
        }
    }

    public bool HasCancellations => !_cancelled.IsEmpty;

    public void Open()
    {
        lock (_lock)
        {
            _isOpen = true;
        }
    }

    public void Close()
    {
        lock (_lock)
        {
            _isOpen = false;
        }
    }

    /// <summary>Takes a sequence in.</summary>
    /// <returns>False when the registry is closed.</returns>
    /// <exception cref="ArgumentException">A request of that id is alive.</exception>
    public bool TryAdd(Sequence sequence)
    {
        lock (_lock)
        {
            if (!_isOpen)
            {
                return false;
            }

            RequestId id = sequence.Request.Id;
            if (!_live.TryAdd(id, sequence))
            {
                throw new ArgumentException($"Request {id} is already enqueued and has not ended; give every request an id of its own (RequestId.New()).");
            }

            return true;
        }
    }

    public void Remove(Sequence sequence)
    {
        lock (_lock)
        {
            _live.Remove(sequence.Request.Id);
        }
    }

    public bool TryFind(RequestId id, [NotNullWhen(true)] out Sequence? sequence)
    {
        lock (_lock)
        {
            return _live.TryGetValue(id, out sequence);
        }
    }

    public List<Sequence> Snapshot()
    {
        lock (_lock)
        {
            return [.. _live.Values];
        }
    }

    /// <summary>Leaves a cancellation for the owner thread.</summary>
    /// <returns>Whether this call is the one that cancels the sequence.</returns>
    public bool TryCancel(Sequence sequence)
    {
        if (!sequence.IsAdmitted || !sequence.TryRequestCancel())
        {
            return false;
        }

        _cancelled.Enqueue(sequence);
        return true;
    }

    public bool TryTakeCancelled([NotNullWhen(true)] out Sequence? sequence) => _cancelled.TryDequeue(out sequence);
}
