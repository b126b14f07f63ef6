using System.Diagnostics;
using System.Numerics;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The registered blocks as a tree of token prefixes: a block is found by the node that it hangs under and its own tokens. Both are
/// compared in full, so that different prefixes are never taken for the same, whatever their hashes.
/// </summary>
/// <remarks>A block leaves the index only after everything that hangs under it: that is why a block's number can name a prefix.</remarks>
internal sealed class PrefixIndex
{
    private readonly int _blockSize;
    private readonly PrefixHash _hash;
    private readonly Entry[] _entries;  // by block
    private readonly int[] _tokens;     // [block, blockSize]
    private readonly int[] _buckets;    // first block of each bucket plus one; 0 when empty

    /// <summary>Makes an empty index for blocks 0 to <paramref name="totalBlocks"/>.</summary>
    public PrefixIndex(int totalBlocks, int blockSize, PrefixHash hash)
    {
        _blockSize = blockSize;
        _hash = hash;
        _entries = new Entry[totalBlocks];
        _tokens = new int[totalBlocks * blockSize];
        _buckets = new int[BitOperations.RoundUpToPowerOf2((uint)totalBlocks)];
    }

    /// <summary>Whether the block is in the index.</summary>
    public bool IsRegistered(int block) => _entries[block].IsRegistered;

    /// <summary>What a registered block hangs under.</summary>
    public PrefixNode Parent(int block) => _entries[block].Parent;

    /// <summary>How many registered blocks hang directly under a registered block.</summary>
    public int Children(int block) => _entries[block].Children;

    /// <summary>The tokens of a registered block.</summary>
    public ReadOnlySpan<int> Tokens(int block) => _tokens.AsSpan(block * _blockSize, _blockSize);

    /// <summary>The block that continues <paramref name="parent"/> with <paramref name="tokens"/>, or <see cref="PrefixNode.NoBlock"/>.</summary>
    public int Find(PrefixNode parent, ReadOnlySpan<int> tokens) => Find(_hash(parent, tokens), parent, tokens);

    /// <summary>Registers <paramref name="block"/> as the continuation of <paramref name="parent"/>, unless there is one already.</summary>
    /// <returns>The block that now stands for the prefix.</returns>
    /// <exception cref="InvalidOperationException">The block is registered with other tokens or elsewhere.</exception>
    public int FindOrAdd(PrefixNode parent, ReadOnlySpan<int> tokens, int block)
    {
        ulong hash = _hash(parent, tokens);
        int present = Find(hash, parent, tokens);
        if (present != PrefixNode.NoBlock)
        {
            return present;
        }

        if (_entries[block].IsRegistered)
        {
            throw new InvalidOperationException($"KV block {block} stands for another prefix: reserve positions before they are written and committed.");
        }

        ref int bucket = ref Bucket(hash);
        _entries[block] = new Entry { IsRegistered = true, Hash = hash, Parent = parent, NextInBucket = bucket };
        bucket = block + 1;
        tokens.CopyTo(_tokens.AsSpan(block * _blockSize));
        if (parent.Block != PrefixNode.NoBlock)
        {
            _entries[parent.Block].Children++;
        }

        return block;
    }

    /// <summary>Takes a block without children out of the index.</summary>
    public void Remove(int block)
    {
        ref Entry entry = ref _entries[block];
        Debug.Assert(entry is { IsRegistered: true, Children: 0 }, "A block leaves after everything that hangs under it.");
        ref int link = ref Bucket(entry.Hash);
        while (link != block + 1)
        {
            link = ref _entries[link - 1].NextInBucket;
        }

        link = entry.NextInBucket;
        if (entry.Parent.Block != PrefixNode.NoBlock)
        {
            _entries[entry.Parent.Block].Children--;
        }

        entry = default;
    }

    private int Find(ulong hash, PrefixNode parent, ReadOnlySpan<int> tokens)
    {
        int block = Bucket(hash) - 1;
        while (block >= 0)
        {
            ref readonly Entry entry = ref _entries[block];
            if (entry.Hash == hash && entry.Parent == parent && Tokens(block).SequenceEqual(tokens))
            {
                return block;
            }

            block = entry.NextInBucket - 1;
        }

        return PrefixNode.NoBlock;
    }

    private ref int Bucket(ulong hash) => ref _buckets[hash & (uint)(_buckets.Length - 1)];

    private struct Entry
    {
        public PrefixNode Parent;
        public ulong Hash;
        public int Children;
        public int NextInBucket; // block plus one; 0 at the end
        public bool IsRegistered;
    }
}
