namespace MLFramework.Cpu;

/// <summary>
/// Reads single rows of tensors in larger pieces: the rows after the one that was asked for are kept for the next calls. Its memory is bounded, whatever the
/// tensor's size. Not for several threads at once.
/// </summary>
/// <param name="file">Where the tensors are.</param>
internal sealed class RowWindow(GgufFile file)
{
    private const int PieceBytes = 256 << 10;

    private byte[] _buffer = [];
    private GgufTensor? _tensor;
    private long _first, _end;

    /// <summary>A row as it is stored, valid until the next call.</summary>
    /// <param name="tensor">A tensor of the file.</param>
    /// <param name="row">Which row.</param>
    /// <exception cref="IOException">The file cannot be read, or became shorter.</exception>
    public ReadOnlySpan<byte> Row(GgufTensor tensor, long row)
    {
        if (tensor != _tensor || row < _first || row >= _end) Read(tensor, row);
        return _buffer.AsSpan((int)(row - _first) * tensor.RowBytes, tensor.RowBytes);
    }

    private void Read(GgufTensor tensor, long row)
    {
        int count = (int)Math.Min(tensor.RowCount - row, Math.Max(1, PieceBytes / tensor.RowBytes)), bytes = count * tensor.RowBytes;
        if (bytes > _buffer.Length) _buffer = new byte[Math.Max(bytes, PieceBytes)];
        _tensor = null; // until all of it was read
        file.Read(tensor, row, _buffer.AsSpan(0, bytes));
        (_tensor, _first, _end) = (tensor, row, row + count);
    }
}
