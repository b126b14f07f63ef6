namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The KV blocks of one sequence, in order of position. Written only by the cache manager.</summary>
internal sealed class BlockTable
{
    private int[] _ids = [];

    /// <summary>Blocks held.</summary>
    public int Count { get; private set; }

    /// <summary>Block ids by position: position p lies in <c>Ids[p / blockSize]</c>.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Count);

    /// <summary>Leading blocks that are registered in the prefix index; of the last one the sequence may use only a part.</summary>
    public int RegisteredBlocks { get; set; }

    /// <summary>Root of the salt that the table was attached under; null when its blocks are never shared.</summary>
    public UInt128? PrefixRoot { get; set; }

    /// <summary>
    /// The copy that the next run has to make. Its source stays referenced by this table until the run is committed, so that a failed
    /// run can be repeated.
    /// </summary>
    public BlockCopy? PendingCopy { get; set; }

    public int this[int index]
    {
        get => _ids[index];
        set => _ids[index] = value;
    }

    public void Add(int blockId)
    {
        EnsureCapacity(Count + 1);
        _ids[Count++] = blockId;
    }

    /// <summary>Reserves room so that a steady decode never grows the array.</summary>
    public void EnsureCapacity(int blocks)
    {
        if (_ids.Length < blocks)
        {
            Array.Resize(ref _ids, Math.Max(blocks, _ids.Length * 2));
        }
    }

    public void Clear()
    {
        Count = 0;
        RegisteredBlocks = 0;
        PrefixRoot = null;
        PendingCopy = null;
    }
}
