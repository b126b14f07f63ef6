using System.Diagnostics;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The blocks by number: which are free and how many tables hold each. Knows nothing of tokens.</summary>
/// <remarks>Owner thread only, except the counters.</remarks>
internal sealed class BlockPool
{
    private const int EndOfList = -1;

    private readonly int[] _references;
    private readonly int[] _nextFree;
    private int _firstFree = EndOfList;
    private int _neverUsed;
    private int _freeBlocks;
    private int _referencedBlocks;

    /// <summary>Makes a pool of free blocks. Blocks are touched when first claimed, so that a large pool costs nothing at start.</summary>
    public BlockPool(int totalBlocks)
    {
        _references = new int[totalBlocks];
        _nextFree = new int[totalBlocks];
        _freeBlocks = totalBlocks;
    }

    /// <summary>Blocks in the pool.</summary>
    public int TotalBlocks => _references.Length;

    /// <summary>Blocks that hold nothing.</summary>
    public int FreeBlocks => Volatile.Read(ref _freeBlocks);

    /// <summary>Blocks that at least one table holds.</summary>
    public int ReferencedBlocks => Volatile.Read(ref _referencedBlocks);

    /// <summary>How many tables hold a block.</summary>
    public int References(int block) => _references[block];

    /// <summary>Takes a free block, held once.</summary>
    public int Claim()
    {
        Debug.Assert(_freeBlocks > 0, "The caller makes room before it claims.");
        int block;
        if (_firstFree == EndOfList)
        {
            block = _neverUsed++;
        }
        else
        {
            block = _firstFree;
            _firstFree = _nextFree[block];
        }

        Volatile.Write(ref _freeBlocks, _freeBlocks - 1);
        AddReference(block);
        return block;
    }

    /// <summary>One more table holds the block.</summary>
    public void AddReference(int block)
    {
        if (_references[block]++ == 0)
        {
            Volatile.Write(ref _referencedBlocks, _referencedBlocks + 1);
        }
    }

    /// <summary>One table fewer holds the block. True if it was the last: the caller then frees or caches the block.</summary>
    public bool DropReference(int block)
    {
        Debug.Assert(_references[block] > 0, "Only a holder drops its reference.");
        if (--_references[block] > 0)
        {
            return false;
        }

        Volatile.Write(ref _referencedBlocks, _referencedBlocks - 1);
        return true;
    }

    /// <summary>Gives back a block that nobody holds.</summary>
    public void Free(int block)
    {
        Debug.Assert(_references[block] == 0, "A block that is held is not free.");
        _nextFree[block] = _firstFree;
        _firstFree = block;
        Volatile.Write(ref _freeBlocks, _freeBlocks + 1);
    }

    /// <summary>The free blocks, next to be claimed first. For invariant checks.</summary>
    public IEnumerable<int> EnumerateFree()
    {
        for (int block = _firstFree; block != EndOfList; block = _nextFree[block])
        {
            yield return block;
        }

        for (int block = _neverUsed; block < TotalBlocks; block++)
        {
            yield return block;
        }
    }
}
