using System.Runtime.InteropServices;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The sequences that run, best rank first: the last is the first to be preempted.</summary>
internal sealed class RunningSet
{
    private readonly List<Sequence> _byRank = [];

    public IReadOnlyList<Sequence> ByRank => _byRank;

    public ReadOnlySpan<Sequence> Span => CollectionsMarshal.AsSpan(_byRank);

    public int Count => _byRank.Count;

    public Sequence this[int index] => _byRank[index];

    public Sequence Lowest => _byRank[^1];

    public void Add(Sequence sequence)
    {
        int low = 0;
        int high = _byRank.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_byRank[middle].Rank.IsAbove(sequence.Rank))
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        _byRank.Insert(low, sequence);
    }

    public void RemoveLowest() => _byRank.RemoveAt(_byRank.Count - 1);

    /// <summary>Removes all that no longer run; one pass, however many ended at once.</summary>
    public void RemoveStopped() => _byRank.RemoveAll(static s => s.State != SequenceState.Running);
}
