namespace MLFramework.Cli;

/// <summary>Reads a file line by line, as bytes, holding one line at a time.</summary>
internal sealed class LineReader : IDisposable
{
    /// <summary>Longest line. What is longer is no line but a file of something else.</summary>
    public const int MostBytes = 64 * 1024 * 1024;

    private readonly string _path;
    private readonly FileStream _stream;
    private byte[] _buffer = new byte[64 * 1024];
    private int _start, _end;

    /// <summary>Opens a file at its beginning.</summary>
    /// <param name="path">The file.</param>
    /// <param name="share">What others may do with it meanwhile.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public LineReader(string path, FileShare share = FileShare.Read)
    {
        _path = path;
        _stream = new FileStream(path, FileMode.Open, FileAccess.Read, share, bufferSize: 0);
    }

    /// <summary>Number of the line read last, from 1.</summary>
    public long Number { get; private set; }

    /// <summary>Bytes of the file up to the end of the line read last, its line feed included.</summary>
    public long Position { get; private set; }

    /// <summary>Whether the line read last ended with a line feed: the last of a file may not.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>Reads the next line, without its line feed.</summary>
    /// <param name="line">Its bytes, valid until the next call.</param>
    /// <returns>False at the end of the file.</returns>
    /// <exception cref="UsageException">The line is longer than any sensible one.</exception>
    public bool TryRead(out ReadOnlyMemory<byte> line)
    {
        int searched = 0;
        while (true)
        {
            int feed = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (feed >= 0)
            {
                return Take(searched + feed, isWhole: true, out line);
            }

            searched = _end - _start;
            if (!TryFill())
            {
                return Take(searched, isWhole: false, out line) && searched > 0;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    private bool Take(int length, bool isWhole, out ReadOnlyMemory<byte> line)
    {
        line = _buffer.AsMemory(_start, length);
        int taken = length + (isWhole ? 1 : 0);
        _start += taken;
        Position += taken;
        Number += taken > 0 ? 1 : 0;
        IsWhole = isWhole;
        return true;
    }

    private bool TryFill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }

        if (_end == _buffer.Length)
        {
            if (_end >= MostBytes)
            {
                throw new UsageException($"{_path}:{Number + 1}: the line is longer than {MostBytes >> 20} MiB; is this a file of one JSON object per line?");
            }

            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        int read = _stream.Read(_buffer, _end, _buffer.Length - _end);
        _end += read;
        return read > 0;
    }
}
