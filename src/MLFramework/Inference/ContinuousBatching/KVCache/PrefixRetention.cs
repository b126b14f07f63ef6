using System.Diagnostics;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The registered blocks that nobody references, least recently used first, and how long they are kept: until room is needed, their
/// prefix is one too many, or it was not used for too long.
/// </summary>
/// <remarks>
/// Whoever releases a block releases its ancestors after it, and whoever references a block references its ancestors. So the oldest block
/// is always a leaf of the tree, and dropping from the old end never leaves a child without its parent.
/// Owner thread only, except the counters.
/// </remarks>
internal sealed class PrefixRetention
{
    private const int Sentinel = 0; // both ends of the ring; block b has the node b + 1

    private readonly BlockPool _pool;
    private readonly PrefixIndex _index;
    private readonly long _timeToLive;
    private readonly Node[] _nodes;
    private int _count;
    private int _prefixes;
    private long _evicted;

    /// <summary>Makes an empty list.</summary>
    /// <param name="pool">Where dropped blocks go.</param>
    /// <param name="index">Where dropped blocks are taken out.</param>
    /// <param name="maxPrefixes">Most leaves of the tree that are kept here.</param>
    /// <param name="timeToLive">Clock ticks after which an unused block is dropped.</param>
    public PrefixRetention(BlockPool pool, PrefixIndex index, int maxPrefixes, long timeToLive)
    {
        _pool = pool;
        _index = index;
        MaxPrefixes = maxPrefixes;
        _timeToLive = timeToLive;
        _nodes = new Node[pool.TotalBlocks + 1];
    }

    /// <summary>Blocks kept.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Distinct prefixes kept: blocks here that no registered block hangs under.</summary>
    public int Prefixes => Volatile.Read(ref _prefixes);

    /// <summary>Most distinct prefixes kept.</summary>
    public int MaxPrefixes { get; }

    /// <summary>Blocks dropped since the start, for whatever reason.</summary>
    public long Evicted => Volatile.Read(ref _evicted);

    /// <summary>Whether the block is kept here.</summary>
    public bool Contains(int block) => _nodes[block + 1].IsLinked;

    /// <summary>Keeps a registered block that has just lost its last reference.</summary>
    /// <param name="block">The block; what hangs under it has been added before it.</param>
    /// <param name="now">Clock ticks, never less than before.</param>
    public void Add(int block, long now)
    {
        int newest = _nodes[Sentinel].Previous;
        _nodes[block + 1] = new Node { IsLinked = true, Previous = newest, Next = Sentinel, ReleasedAt = now };
        _nodes[newest].Next = block + 1;
        _nodes[Sentinel].Previous = block + 1;
        Volatile.Write(ref _count, _count + 1);
        CountLeaf(block, 1);
        while (_prefixes > MaxPrefixes)
        {
            DropOldestPrefix();
        }
    }

    /// <summary>Takes a block out because somebody references it again.</summary>
    public void Remove(int block)
    {
        CountLeaf(block, -1);
        ref Node node = ref _nodes[block + 1];
        _nodes[node.Previous].Next = node.Next;
        _nodes[node.Next].Previous = node.Previous;
        node = default;
        Volatile.Write(ref _count, _count - 1);
    }

    /// <summary>Frees the least recently used block. There must be one.</summary>
    public void DropOldest() => Drop(_nodes[Sentinel].Next - 1);

    /// <summary>Frees the blocks that nobody used for the time to live.</summary>
    public void DropExpired(long now)
    {
        while (_count > 0 && now - _nodes[_nodes[Sentinel].Next].ReleasedAt >= _timeToLive)
        {
            DropOldest();
        }
    }

    /// <summary>The blocks with the time of their release, oldest first. For invariant checks.</summary>
    public IEnumerable<(int Block, long ReleasedAt)> Enumerate()
    {
        for (int node = _nodes[Sentinel].Next; node != Sentinel; node = _nodes[node].Next)
        {
            yield return (node - 1, _nodes[node].ReleasedAt);
        }
    }

    // Up to where the prefix branches or somebody references it: what is left then belongs to other prefixes.
    private void DropOldestPrefix()
    {
        int block = _nodes[Sentinel].Next - 1;
        do
        {
            int parent = _index.Parent(block).Block;
            Drop(block);
            block = parent;
        }
        while (block != PrefixNode.NoBlock && Contains(block) && _index.Children(block) == 0);
    }

    private void Drop(int block)
    {
        Debug.Assert(_index.Children(block) == 0, "The oldest block is a leaf.");
        Remove(block);
        int parent = _index.Parent(block).Block;
        _index.Remove(block);
        _pool.Free(block);
        Volatile.Write(ref _evicted, _evicted + 1);
        if (parent != PrefixNode.NoBlock && Contains(parent))
        {
            CountLeaf(parent, 1);
        }
    }

    private void CountLeaf(int block, int change)
    {
        if (_index.Children(block) == 0)
        {
            Volatile.Write(ref _prefixes, _prefixes + change);
        }
    }

    private struct Node
    {
        public int Previous;
        public int Next;
        public long ReleasedAt;
        public bool IsLinked;
    }
}
