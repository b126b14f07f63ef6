using System.Buffers;
using System.IO.MemoryMappedFiles;

namespace MLFramework.Cpu;

/// <summary>The bytes of one GGUF file, mapped or pinned, with its header.</summary>
internal sealed unsafe class GgufShard : IDisposable
{
    private readonly IDisposable _owner;
    private readonly byte* _start;
    private bool _disposed;

    private GgufShard(IDisposable owner, byte* start, long length, string? path, int index)
    {
        (_owner, Length, Path) = (owner, length, path);
        _start = start;
        Header = GgufHeader.Read(start, length, path, index);
    }

    public GgufHeader Header { get; }

    public long Length { get; }

    public string? Path { get; }

    public static GgufShard Map(string path, int index)
    {
        var mapping = Mapping.Open(path);
        try
        {
            return new GgufShard(mapping, mapping.Start, mapping.Length, path, index);
        }
        catch
        {
            mapping.Dispose();
            throw;
        }
    }

    public static GgufShard Pin(ReadOnlyMemory<byte> bytes)
    {
        MemoryHandle handle = bytes.Pin();
        try
        {
            return new GgufShard(handle, (byte*)handle.Pointer, bytes.Length, path: null, index: 0);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public ReadOnlySpan<byte> Bytes(long offset, int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, typeof(GgufFile));
        return new ReadOnlySpan<byte>(_start + offset, length);
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _owner.Dispose();
    }

    /// <summary>A read-only view of a whole file.</summary>
    private sealed class Mapping : IDisposable
    {
        private readonly MemoryMappedFile _file;
        private readonly MemoryMappedViewAccessor _view;

        private Mapping(FileStream stream)
        {
            Length = stream.Length;
            _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            byte* start = null;
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            Start = start + _view.PointerOffset;
        }

        /// <summary>Length of the file; the view itself ends at a page boundary beyond it.</summary>
        public long Length { get; }

        public byte* Start { get; }

        public static Mapping Open(string path)
        {
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            try
            {
                // An empty file cannot be mapped.
                return stream.Length > 0 ? new Mapping(stream) : throw new GgufException("header: magic", "is cut off: the file is empty", path);
            }
            catch
            {
                stream.Dispose();
                throw;
            }
        }

        public void Dispose()
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }
    }
}
