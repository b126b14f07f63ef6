using System.Collections.Immutable;

namespace MLFramework.Cpu;

/// <summary>
/// A GGUF model, of one file or of several (<c>name-00001-of-00003.gguf</c>), mapped into memory. Opening reads and validates the headers;
/// tensor data are paged in when they are touched. Safe for concurrent reads until disposed.
/// </summary>
/// <remarks>
/// A mapped file must not be truncated while it is open: the operating system ends a process that reads a page which is gone. To update a model, write a
/// new file and rename it over the old one.
/// </remarks>
public sealed class GgufFile : IDisposable
{
    private readonly ImmutableArray<GgufShard> _shards;
    private readonly Dictionary<string, GgufTensor> _byName;

    private GgufFile(ImmutableArray<GgufShard> shards)
    {
        _shards = shards;
        Tensors = [.. shards.SelectMany(shard => shard.Header.Tensors)];
        _byName = Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>Version of the format, 2 or 3.</summary>
    public int Version => _shards[0].Header.Version;

    /// <summary>The key-value pairs; of a split model, those of its first file.</summary>
    public GgufMetadata Metadata => _shards[0].Header.Metadata;

    /// <summary>All tensors, in the order of the files.</summary>
    public ImmutableArray<GgufTensor> Tensors { get; }

    /// <summary>Paths of the files, or empty for a model in memory.</summary>
    public IReadOnlyList<string> Paths => [.. _shards.Select(shard => shard.Path).OfType<string>()];

    /// <summary>Bytes of all files together.</summary>
    public long ByteLength => _shards.Sum(shard => shard.Length);

    /// <summary>Maps a model. Of a split model any of its files can be named; the others are found beside it.</summary>
    /// <param name="path">Path of a GGUF file.</param>
    /// <exception cref="GgufException">The file, or one that belongs to it, is damaged, missing or not supported.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public static GgufFile Open(string path)
    {
        var shards = new List<GgufShard>();
        try
        {
            shards.Add(GgufShard.Map(path, index: 0));
            if (GgufSplit.Count(shards[0]) is > 1 and var count)
            {
                // Offsets of tensors go with an index of a file: all are mapped anew in their order.
                IReadOnlyList<string> paths = GgufSplit.Paths(shards[0], count);
                shards[0].Dispose();
                shards.Clear();
                foreach (string part in paths) shards.Add(GgufSplit.Map(part, shards.Count, count));
                GgufSplit.Validate(shards);
            }
            return new GgufFile([.. shards]);
        }
        catch
        {
            shards.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    /// <summary>Reads a model that is in memory already, for example an embedded resource.</summary>
    /// <param name="bytes">The whole file; it is pinned, not copied, until <see cref="Dispose"/>.</param>
    /// <exception cref="GgufException">The file is damaged, split or not supported.</exception>
    public static GgufFile FromMemory(ReadOnlyMemory<byte> bytes)
    {
        var shard = GgufShard.Pin(bytes);
        try
        {
            return GgufSplit.Count(shard) == 1 ? new GgufFile([shard])
                : throw shard.Header.Metadata.Error(GgufSplit.CountKey, "says that this is one of several files: open it by path");
        }
        catch
        {
            shard.Dispose();
            throw;
        }
    }

    /// <summary>Looks a tensor up by name; null if there is none.</summary>
    public GgufTensor? FindTensor(string name) => _byName.GetValueOrDefault(name);

    /// <summary>Looks a tensor up by name.</summary>
    /// <exception cref="GgufException">There is none.</exception>
    public GgufTensor GetTensor(string name) => FindTensor(name) ?? throw new GgufException($"tensor '{name}'", "is missing", _shards[0].Path);

    /// <summary>The stored bytes of whole rows, inside the mapping: not to be used after <see cref="Dispose"/>.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="rowCount">Number of rows; together at most 2 GiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rows lie outside the tensor, or are too many for one span.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public ReadOnlySpan<byte> Rows(GgufTensor tensor, long firstRow, int rowCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfNegative(rowCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstRow, tensor.RowCount - rowCount);
        long bytes = (long)rowCount * tensor.RowBytes;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, int.MaxValue, nameof(rowCount));
        return _shards[tensor.Shard].Bytes(tensor.Offset + firstRow * tensor.RowBytes, (int)bytes);
    }

    /// <summary>Whole rows as floats.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="destination">Takes as many rows as it has room for: its length is a multiple of <see cref="GgufTensor.RowLength"/>.</param>
    /// <exception cref="ArgumentException">The destination holds no whole rows.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The rows lie outside the tensor.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public void Dequantize(GgufTensor tensor, long firstRow, Span<float> destination)
    {
        if (destination.Length % tensor.RowLength != 0) throw new ArgumentException($"Rows have {tensor.RowLength} elements.", nameof(destination));
        Dequantizer.Dequantize(tensor.Type, Rows(tensor, firstRow, destination.Length / tensor.RowLength), destination);
    }

    /// <summary>Unmaps the files.</summary>
    public void Dispose()
    {
        foreach (GgufShard shard in _shards) shard.Dispose();
    }
}
