namespace MLFramework.Cpu;

/// <summary>What one forward pass computes: rows of single positions, of one or many sequences. Reused from pass to pass.</summary>
internal sealed unsafe class PassPlan : IDisposable
{
    private readonly List<PlannedSequence> _sequences = [];
    private readonly List<PlannedRow> _rows = [];
    private readonly List<int> _outputRows = [];
    private NativeBuffer<int> _blocks = new(256);
    private int _blockCount;

    /// <summary>Positions to compute.</summary>
    public int RowCount => _rows.Count;

    /// <summary>Rows whose logits, or final hidden states, are wanted, ascending.</summary>
    public int OutputCount => _outputRows.Count;

    /// <summary>Empties the plan.</summary>
    public void Clear()
    {
        _sequences.Clear();
        _rows.Clear();
        _outputRows.Clear();
        _blockCount = 0;
    }

    /// <summary>Adds a run of positions of one sequence.</summary>
    /// <param name="tokens">Tokens at these positions.</param>
    /// <param name="start">The first position; the keys and values before it are in the cache.</param>
    /// <param name="blocks">KV blocks from position 0 on, enough for all.</param>
    /// <param name="wantsLogits">Whether the last position is an output.</param>
    /// <returns>The sequence's index in this plan.</returns>
    public int Add(ReadOnlySpan<int> tokens, int start, ReadOnlySpan<int> blocks, bool wantsLogits) => Add(tokens, start, blocks, wantsLogits ? 1 : 0);

    /// <summary>Adds a run of positions of one sequence.</summary>
    /// <param name="tokens">Tokens at these positions.</param>
    /// <param name="start">The first position; the keys and values before it are in the cache.</param>
    /// <param name="blocks">KV blocks from position 0 on, enough for all.</param>
    /// <param name="outputs">How many positions, the last ones, are outputs.</param>
    /// <returns>The sequence's index in this plan.</returns>
    public int Add(ReadOnlySpan<int> tokens, int start, ReadOnlySpan<int> blocks, int outputs)
    {
        int blockCount = (start + tokens.Length + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength;
        Reserve(_blockCount + blockCount);
        blocks[..blockCount].CopyTo(new Span<int>(_blocks.Pointer + _blockCount, blockCount));
        for (int i = 0; i < tokens.Length; i++) _rows.Add(new PlannedRow(tokens[i], start + i, _blockCount));
        _sequences.Add(new PlannedSequence(_rows.Count - tokens.Length, tokens.Length, outputs > 0 ? _outputRows.Count : -1));
        for (int i = _rows.Count - outputs; i < _rows.Count; i++) _outputRows.Add(i);
        _blockCount += blockCount;
        return _sequences.Count - 1;
    }

    /// <summary>Sequences that take part.</summary>
    public int SequenceCount => _sequences.Count;

    public PlannedSequence Sequence(int index) => _sequences[index];

    public PlannedRow Row(int index) => _rows[index];

    public int OutputRow(int output) => _outputRows[output];

    /// <summary>A row's blocks, valid until the plan changes.</summary>
    public int* Blocks(PlannedRow row) => _blocks.Pointer + row.FirstBlock;

    public void Dispose() => _blocks.Dispose();

    private void Reserve(int count)
    {
        if (count <= _blocks.Length) return;
        var larger = new NativeBuffer<int>(Math.Max(count, 2 * _blocks.Length));
        new Span<int>(_blocks.Pointer, _blockCount).CopyTo(new Span<int>(larger.Pointer, _blockCount));
        _blocks.Dispose();
        _blocks = larger;
    }
}

/// <summary>One position of a sequence.</summary>
/// <param name="Token">Its token.</param>
/// <param name="Position">Its position.</param>
/// <param name="FirstBlock">Where the plan keeps the sequence's blocks.</param>
internal readonly record struct PlannedRow(int Token, int Position, int FirstBlock);

/// <summary>The rows of a sequence in a plan.</summary>
/// <param name="FirstRow">The first.</param>
/// <param name="RowCount">How many.</param>
/// <param name="Output">Index of its first output, −1 for none.</param>
internal readonly record struct PlannedSequence(int FirstRow, int RowCount, int Output);
