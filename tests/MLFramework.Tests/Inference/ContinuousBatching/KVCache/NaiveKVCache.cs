namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

/// <summary>
/// What a paged KV cache should do, said in the plainest way: prefixes are strings in a dictionary, everything is searched, nothing is counted
/// ahead. A prefix is its salt (one character) followed by its tokens (one character each).
/// </summary>
internal sealed class NaiveKVCache(int totalBlocks, int blockSize, bool sharesPrefixes, int maxPrefixes, TimeSpan timeToLive)
{
    private const int SaltLength = 1;

    private readonly Dictionary<string, Block> _registered = [];
    private readonly List<Block> _cached = []; // oldest first
    private readonly HashSet<Block> _held = [];
    private TimeSpan _now;

    public int Free => totalBlocks - _cached.Count - _held.Count;

    public int Cached => _cached.Count;

    public int Held => _held.Count;

    public int CachedPrefixes => _cached.Count(IsLeaf);

    public void Advance(TimeSpan time) => _now += time;

    public int Attach(Holder holder, string text)
    {
        int hits = CountCached(text);
        for (int i = 0; i * blockSize < hits; i++)
        {
            Hold(_registered[text[..End(i)]]);
            holder.Blocks.Add(_registered[text[..End(i)]]);
        }

        return hits;
    }

    public int CountCached(string text)
    {
        DropExpired();
        int tokens = text.Length - SaltLength;
        int blocks = 0;
        while (End(blocks) <= text.Length && blocks * blockSize < tokens - 1 && _registered.ContainsKey(text[..End(blocks)]))
        {
            blocks++;
        }

        return Math.Min(blocks * blockSize, tokens - 1);
    }

    public int CountMissing(Holder holder, int start, int end) =>
        Enumerable.Range(start / blockSize, ((end - 1) / blockSize) - (start / blockSize) + 1)
            .Count(i => i >= holder.Blocks.Count || (!IsPrivate(holder.Blocks[i]) && !MayBecomePrivate(holder.Blocks[i])));

    public bool TryReserve(Holder holder, int start, int end)
    {
        if (CountMissing(holder, start, end) > Free + Cached)
        {
            return false;
        }

        int first = start / blockSize;
        for (int i = Math.Min((end - 1) / blockSize, holder.Blocks.Count - 1); i >= first; i--)
        {
            Block block = holder.Blocks[i];
            if (IsPrivate(block))
            {
                continue;
            }

            if (MayBecomePrivate(block))
            {
                _registered.Remove(block.Prefix!);
                block.Prefix = null;
                continue;
            }

            holder.Blocks[i] = Claim();
            if (i == first && start % blockSize != 0)
            {
                holder.CopySource = block;
            }
            else
            {
                Drop(block);
            }
        }

        while (holder.Blocks.Count * blockSize < end)
        {
            holder.Blocks.Add(Claim());
        }

        return true;
    }

    public void Commit(Holder holder, string text)
    {
        for (int i = 0; sharesPrefixes && End(i) <= text.Length; i++)
        {
            Block block = holder.Blocks[i];
            if (_registered.TryGetValue(text[..End(i)], out Block? same))
            {
                if (same != block)
                {
                    Hold(same);
                    holder.Blocks[i] = same;
                    Drop(block);
                }
            }
            else
            {
                block.Prefix = text[..End(i)];
                _registered.Add(block.Prefix, block);
            }
        }

        DropCopySource(holder);
    }

    public void Fork(Holder parent, Holder child, int tokens)
    {
        child.Blocks.AddRange(parent.Blocks.Take((tokens + blockSize - 1) / blockSize));
        child.Blocks.ForEach(Hold);
    }

    public void Release(Holder holder)
    {
        DropCopySource(holder);
        holder.Blocks.Reverse();
        holder.Blocks.ForEach(Drop);
        holder.Blocks.Clear();
        DropExpired();
    }

    private int End(int block) => SaltLength + ((block + 1) * blockSize);

    private string Parent(string prefix) => prefix[..^blockSize];

    private bool HasChildren(Block block) => _registered.Keys.Any(prefix => prefix.Length > SaltLength && Parent(prefix) == block.Prefix);

    private bool IsLeaf(Block block) => !HasChildren(block);

    private static bool IsPrivate(Block block) => block.Holders == 1 && block.Prefix is null;

    private bool MayBecomePrivate(Block block) => block.Holders == 1 && IsLeaf(block);

    private Block Claim()
    {
        if (Free == 0)
        {
            Evict(_cached[0]);
        }

        var block = new Block();
        Hold(block);
        return block;
    }

    private void Hold(Block block)
    {
        block.Holders++;
        _held.Add(block);
        _cached.Remove(block);
    }

    private void Drop(Block block)
    {
        if (--block.Holders > 0)
        {
            return;
        }

        _held.Remove(block);
        if (block.Prefix is null)
        {
            return;
        }

        block.ReleasedAt = _now;
        _cached.Add(block);
        while (CachedPrefixes > maxPrefixes)
        {
            EvictPrefix(_cached[0]);
        }
    }

    private void DropCopySource(Holder holder)
    {
        if (holder.CopySource is { } source)
        {
            holder.CopySource = null;
            Drop(source);
        }
    }

    private void DropExpired() => _cached.FindAll(block => _now - block.ReleasedAt >= timeToLive).ForEach(Evict);

    private void EvictPrefix(Block leaf)
    {
        Evict(leaf);
        if (_registered.TryGetValue(Parent(leaf.Prefix!), out Block? parent) && parent.Holders == 0 && IsLeaf(parent))
        {
            EvictPrefix(parent);
        }
    }

    private void Evict(Block block)
    {
        _cached.Remove(block);
        _registered.Remove(block.Prefix!);
    }

    /// <summary>A sequence, or an opaque request.</summary>
    internal sealed class Holder
    {
        public List<Block> Blocks { get; } = [];

        public Block? CopySource { get; set; }
    }

    internal sealed class Block
    {
        public string? Prefix { get; set; }

        public int Holders { get; set; }

        public TimeSpan ReleasedAt { get; set; }
    }
}
