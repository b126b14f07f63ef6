using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>A piece of a word while pairs of pieces are merged.</summary>
internal struct MergeSymbol
{
    /// <summary>First unit in the text.</summary>
    public int Start;

    /// <summary>Units; 0 once it was merged into its left neighbour.</summary>
    public int Length;

    /// <summary>Index of the neighbours, or −1.</summary>
    public int Previous, Next;

    /// <summary>The vocabulary's number for this piece, or −1.</summary>
    public int Id;
}

/// <summary>Says which pairs of pieces merge, and in which order.</summary>
internal interface IMergeRules
{
    /// <summary>Looks a pair up.</summary>
    /// <param name="left">The left piece.</param>
    /// <param name="right">Its neighbour.</param>
    /// <param name="rank">Lower merges first; equal ranks merge from the left.</param>
    /// <param name="merged">Id of the piece that they make.</param>
    bool TryMerge(in MergeSymbol left, in MergeSymbol right, out uint rank, out int merged);
}

/// <summary>
/// Byte pair encoding of one text: repeatedly merges the best-ranked pair of neighbours. A linked list of pieces and a heap of pairs make it
/// O(n log n) (the method of SentencePiece's <c>bpe_model.cc</c>). Reusable, not thread-safe.
/// </summary>
internal sealed class PairMerger
{
    /// <summary>Up to this many symbols, a search beats a heap.</summary>
    internal const int ShortText = 32;

    private readonly List<MergeSymbol> _symbols = [];
    private readonly List<((int Left, int Right, int Length, int Merged), ulong)> _initial = [];
    private readonly PriorityQueue<(int Left, int Right, int Length, int Merged), ulong> _pairs = new();

    /// <summary>Starts a new text.</summary>
    public void Clear() => _symbols.Clear();

    /// <summary>Appends a piece.</summary>
    /// <param name="length">Its units, at least 1.</param>
    /// <param name="id">Its number, or −1.</param>
    public void Add(int length, int id)
    {
        int index = _symbols.Count, start = index == 0 ? 0 : _symbols[^1].Start + _symbols[^1].Length;
        if (index > 0) CollectionsMarshal.AsSpan(_symbols)[^1].Next = index;
        _symbols.Add(new MergeSymbol { Start = start, Length = length, Previous = index - 1, Next = -1, Id = id });
    }

    /// <summary>Merges until no pair is left.</summary>
    /// <returns>The symbols that are left, in order, among others of length 0.</returns>
    public ReadOnlySpan<MergeSymbol> Merge<TRules>(TRules rules) where TRules : struct, IMergeRules, allows ref struct
    {
        Span<MergeSymbol> symbols = CollectionsMarshal.AsSpan(_symbols);
        return symbols.Length <= ShortText ? MergeShort(symbols, rules) : MergeLong(symbols, rules);
    }

    /// <summary>Most texts are words of a few letters: looking through all pairs for the best is several times faster than a heap there.</summary>
    private static ReadOnlySpan<MergeSymbol> MergeShort<TRules>(Span<MergeSymbol> symbols, TRules rules) where TRules : struct, IMergeRules, allows ref struct
    {
        const ulong None = ulong.MaxValue;
        Span<ulong> ranks = stackalloc ulong[ShortText];   // of the pair that starts at each symbol
        Span<int> merged = stackalloc int[ShortText];
        int count = symbols.Length;
        for (int i = 0; i + 1 < count; i++) ranks[i] = rules.TryMerge(symbols[i], symbols[i + 1], out uint rank, out merged[i]) ? rank : None;
        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
                if (ranks[i] < ranks[best]) best = i;
            if (ranks[best] == None) break;
            symbols[best].Length += symbols[best + 1].Length;
            symbols[best].Id = merged[best];
            count--;
            symbols[(best + 2)..(count + 1)].CopyTo(symbols[(best + 1)..]);
            ranks[(best + 1)..count].CopyTo(ranks[best..]);
            merged[(best + 1)..count].CopyTo(merged[best..]);
            for (int i = Math.Max(0, best - 1); i <= best && i + 1 < count; i++)
                ranks[i] = rules.TryMerge(symbols[i], symbols[i + 1], out uint rank, out merged[i]) ? rank : None;
        }
        return symbols[..count];
    }

    private ReadOnlySpan<MergeSymbol> MergeLong<TRules>(Span<MergeSymbol> symbols, TRules rules) where TRules : struct, IMergeRules, allows ref struct
    {
        _initial.Clear();
        for (int i = 1; i < symbols.Length; i++)
            if (TryPair(symbols, i - 1, i, rules, out var pair, out ulong priority)) _initial.Add((pair, priority));
        _pairs.EnqueueRange(_initial);

        while (_pairs.TryDequeue(out (int Left, int Right, int Length, int Merged) pair, out _))
        {
            ref MergeSymbol left = ref symbols[pair.Left];
            ref MergeSymbol right = ref symbols[pair.Right];
            // A pair is outdated if either side was merged since: into another, or with another.
            if (left.Length == 0 || right.Length == 0 || left.Length + right.Length != pair.Length) continue;
            left.Length = pair.Length;
            left.Id = pair.Merged;
            left.Next = right.Next;
            right.Length = 0;
            if (left.Next >= 0) symbols[left.Next].Previous = pair.Left;
            if (TryPair(symbols, left.Previous, pair.Left, rules, out var before, out ulong priority)) _pairs.Enqueue(before, priority);
            if (TryPair(symbols, pair.Left, left.Next, rules, out var after, out priority)) _pairs.Enqueue(after, priority);
        }
        return symbols;
    }

    private static bool TryPair<TRules>(
        Span<MergeSymbol> symbols, int left, int right, TRules rules, out (int Left, int Right, int Length, int Merged) pair, out ulong priority)
        where TRules : struct, IMergeRules, allows ref struct
    {
        if (left < 0 || right < 0 || !rules.TryMerge(symbols[left], symbols[right], out uint rank, out int merged))
        {
            (pair, priority) = (default, 0);
            return false;
        }
        pair = (left, right, symbols[left].Length + symbols[right].Length, merged);
        priority = (ulong)rank << 32 | (uint)left;
        return true;
    }
}
