using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>Some tokens of a text in one pass.</summary>
/// <param name="Text">Which text.</param>
/// <param name="Start">Position of the first.</param>
/// <param name="Count">How many.</param>
internal readonly record struct TextRun(int Text, int Start, int Count);

/// <summary>Divides texts among passes, in their order, and hands out the KV blocks that they need while they are computed. At most one text is begun and not yet done between passes.</summary>
/// <param name="texts">Tokens of each text.</param>
/// <param name="blocks">KV blocks that there are.</param>
internal sealed class EmbeddingQueue(IReadOnlyList<ReadOnlyMemory<int>> texts, int blocks)
{
    private readonly Stack<int> _free = new(Enumerable.Range(0, blocks).Reverse());
    private readonly List<TextRun> _runs = [];
    private readonly List<int> _held = [], _released = [];
    private int _text, _position;

    /// <summary>What the planned pass computes, in the order of its outputs.</summary>
    public IReadOnlyList<TextRun> Runs => _runs;

    /// <summary>Plans the next pass; the pass before is over.</summary>
    /// <param name="plan">Becomes the pass; every position is an output.</param>
    /// <param name="mostTokens">Most tokens.</param>
    /// <param name="mostRuns">Most texts.</param>
    /// <returns>False if all is done.</returns>
    public bool TryPlan(PassPlan plan, int mostTokens, int mostRuns)
    {
        plan.Clear();
        _runs.Clear();
        foreach (int block in _released) _free.Push(block);
        _released.Clear();
        for (int left = mostTokens; left > 0 && _runs.Count < mostRuns && _text < texts.Count;)
        {
            ReadOnlySpan<int> tokens = texts[_text].Span;
            int count = Math.Min(left, tokens.Length - _position);
            while (_held.Count * PagedAttention.BlockLength < _position + count) _held.Add(_free.Pop());
            plan.Add(tokens.Slice(_position, count), _position, CollectionsMarshal.AsSpan(_held), outputs: count);
            _runs.Add(new TextRun(_text, _position, count));
            left -= count;
            _position += count;
            if (_position == tokens.Length) Finish();
        }
        return _runs.Count > 0;
    }

    /// <summary>A text's blocks are needed until the pass that computes its last token is over.</summary>
    private void Finish()
    {
        _released.AddRange(_held);
        _held.Clear();
        (_text, _position) = (_text + 1, 0);
    }
}
