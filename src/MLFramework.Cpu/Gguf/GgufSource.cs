using Microsoft.Win32.SafeHandles;

namespace MLFramework.Cpu;

/// <summary>
/// The bytes of one GGUF file. Files are read, not mapped: a mapped file that somebody shortens takes the process down at the next page that is gone,
/// whereas a read says so; and what was read does not stay in the process's memory. Safe for concurrent reads.
/// </summary>
internal abstract class GgufSource : IDisposable
{
    private bool _disposed;

    protected GgufSource(long length, string? path) => (Length, Path) = (length, path);

    /// <summary>Bytes, as of when it was opened.</summary>
    public long Length { get; }

    /// <summary>Path of the file; null for bytes in memory.</summary>
    public string? Path { get; }

    /// <summary>Opens a file.</summary>
    /// <exception cref="IOException">The file cannot be read, or is a pipe.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public static GgufSource Open(string path)
    {
        SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            return new FileSource(path, file);
        }
        catch (NotSupportedException e)
        {
            file.Dispose();
            throw new IOException($"{path} cannot be read from any position, as a model must be: copy it into an ordinary file.", e);
        }
    }

    /// <summary>Bytes in memory.</summary>
    public static GgufSource FromMemory(ReadOnlyMemory<byte> bytes) => new MemorySource(bytes);

    /// <summary>Fills a span.</summary>
    /// <param name="offset">Position of the first byte; all lie within <see cref="Length"/>.</param>
    /// <param name="destination">Takes the bytes.</param>
    /// <exception cref="EndOfStreamException">The file has become shorter since it was opened.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(_disposed, typeof(GgufFile));
        ReadCore(offset, destination);
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        Close();
    }

    protected abstract void ReadCore(long offset, Span<byte> destination);

    protected abstract void Close();

    private sealed class FileSource(string path, SafeFileHandle file) : GgufSource(RandomAccess.GetLength(file), path)
    {
        protected override void ReadCore(long offset, Span<byte> destination)
        {
            while (!destination.IsEmpty)
            {
                int read = RandomAccess.Read(file, destination, offset);
                if (read == 0) throw new EndOfStreamException($"{Path}: the file ends at byte {offset}; it had {Length} when it was opened. To update a model, write a new file and rename it over the old one.");
                offset += read;
                destination = destination[read..];
            }
        }

        protected override void Close() => file.Dispose();
    }

    private sealed class MemorySource(ReadOnlyMemory<byte> bytes) : GgufSource(bytes.Length, path: null)
    {
        protected override void ReadCore(long offset, Span<byte> destination) => bytes.Span.Slice((int)offset, destination.Length).CopyTo(destination);

        protected override void Close() => bytes = default;
    }
}
