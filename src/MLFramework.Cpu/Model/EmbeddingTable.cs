namespace MLFramework.Cpu;

/// <summary>The rows of a tensor in memory as they are stored in the file, for a table of which single rows are read.</summary>
internal sealed unsafe class EmbeddingTable : IPackable
{
    private const int PartBytes = 64 << 10;

    private readonly GgufTensor _tensor;
    private readonly int _partRows;
    private GgufFile? _file;
    private MemorySlice? _memory;

    /// <param name="file">Open until all parts are packed.</param>
    /// <param name="tensor">The table, [tokens, embedding].</param>
    public EmbeddingTable(GgufFile file, GgufTensor tensor) => (_file, _tensor, _partRows) = (file, tensor, Math.Max(1, PartBytes / tensor.RowBytes));

    public long Bytes => _tensor.ByteLength;

    public int PartCount => (int)((_tensor.RowCount + _partRows - 1) / _partRows);

    public void Take(MemorySlice memory) => _memory = memory;

    public void Pack(int part)
    {
        long row = (long)part * _partRows, count = Math.Min(_partRows, _tensor.RowCount - row);
        _file!.Read(_tensor, row, new Span<byte>(Row(row), (int)count * _tensor.RowBytes));
    }

    public void FinishPacking() => _file = null;

    /// <summary>Reads a row.</summary>
    /// <param name="row">Which row.</param>
    /// <param name="weights">Takes its elements.</param>
    public void ReadRow(int row, Span<float> weights) => Dequantizer.Dequantize(_tensor.Type, new ReadOnlySpan<byte>(Row(row), _tensor.RowBytes), weights);

    public void Dispose() => _memory?.Dispose();

    private byte* Row(long row) => _memory!.Pointer + row * _tensor.RowBytes;
}
