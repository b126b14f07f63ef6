using System.Collections;
using System.Runtime.CompilerServices;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Keeps the latest items up to a fixed number; a newer one then replaces the oldest. Adding is O(1) and allocates nothing.</summary>
/// <remarks>
/// Not thread-safe. An enumeration goes from the oldest item to the newest and fails when the buffer is changed under it, as that of a
/// <see cref="List{T}"/> does.
/// </remarks>
/// <typeparam name="T">What is kept; a struct is kept in place.</typeparam>
public sealed class CircularBuffer<T> : IEnumerable<T>
{
    private readonly T[] _items;
    private int _oldest;
    private int _version;

    /// <summary>Makes an empty buffer, its memory included.</summary>
    /// <param name="capacity">Most items kept, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="capacity"/> is less than 1.</exception>
    public CircularBuffer(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        _items = new T[capacity];
    }

    /// <summary>Items kept now.</summary>
    public int Count { get; private set; }

    /// <summary>Most items kept.</summary>
    public int Capacity => _items.Length;

    /// <summary>An item by age.</summary>
    /// <param name="index">0 for the oldest kept, <see cref="Count"/> − 1 for the newest.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="index"/> is not in that range.</exception>
    public T this[int index] => _items[Slot(index)];

    /// <summary>Adds an item, in place of the oldest one when the buffer is full.</summary>
    /// <param name="item">The item.</param>
    public void Add(T item)
    {
        if (Count < _items.Length)
        {
            Count++;
        }
        else
        {
            _oldest = Slot(1 % Count);
        }

        _items[Slot(Count - 1)] = item;
        _version++;
    }

    /// <summary>Forgets all items.</summary>
    public void Clear()
    {
        if (RuntimeHelpers.IsReferenceOrContainsReferences<T>())
        {
            Array.Clear(_items);
        }

        _oldest = 0;
        Count = 0;
        _version++;
    }

    /// <summary>Enumerates from the oldest item to the newest.</summary>
    /// <exception cref="InvalidOperationException">On moving on after the buffer was changed.</exception>
    public IEnumerator<T> GetEnumerator() => Enumerate(_version);

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The newest item, in place, so that a struct can be completed after it was added.</summary>
    internal ref T Newest => ref _items[Slot(Count - 1)];

    private IEnumerator<T> Enumerate(int version)
    {
        for (int i = 0; i < Count; i++)
        {
            yield return _items[Slot(i)];
            if (version != _version)
            {
                throw new InvalidOperationException("The buffer was changed during its enumeration; copy it first, with ToArray().");
            }
        }
    }

    private int Slot(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        int slot = _oldest + index;
        return slot < _items.Length ? slot : slot - _items.Length;
    }
}
