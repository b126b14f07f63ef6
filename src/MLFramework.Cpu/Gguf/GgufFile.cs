using System.Buffers;
using System.Collections.Immutable;

namespace MLFramework.Cpu;

/// <summary>
/// A GGUF model, of one file or of several (<c>name-00001-of-00003.gguf</c>). Opening reads and validates the headers; tensor data are read when they are
/// asked for. Safe for concurrent reads until disposed.
/// </summary>
public sealed class GgufFile : IDisposable
{
    private const int LargestPieceBytes = 64 << 10;

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
    public long ByteLength => _shards.Sum(shard => shard.Source.Length);

    /// <summary>Opens a model. Of a split model any of its files can be named; the others are found beside it.</summary>
    /// <param name="path">Path of a GGUF file.</param>
    /// <exception cref="GgufException">The file, or one that belongs to it, is damaged, missing or not supported.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public static GgufFile Open(string path)
    {
        var shards = new List<GgufShard>();
        try
        {
            shards.Add(GgufShard.Open(path, index: 0));
            if (GgufSplit.Count(shards[0]) is > 1 and var count)
            {
                // Offsets of tensors go with an index of a file: all are opened anew in their order.
                IReadOnlyList<string> paths = GgufSplit.Paths(shards[0], count);
                shards[0].Dispose();
                shards.Clear();
                foreach (string part in paths) shards.Add(GgufSplit.Open(part, shards.Count, count));
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
    /// <param name="bytes">The whole file; it is not copied, and must not change before <see cref="Dispose"/>.</param>
    /// <exception cref="GgufException">The file is damaged, split or not supported.</exception>
    public static GgufFile FromMemory(ReadOnlyMemory<byte> bytes)
    {
        var shard = GgufShard.FromMemory(bytes);
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

    /// <summary>Reads whole rows as they are stored.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="destination">Takes as many rows as it has room for: its length is a multiple of <see cref="GgufTensor.RowBytes"/>.</param>
    /// <exception cref="ArgumentException">The destination holds no whole rows.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The rows lie outside the tensor.</exception>
    /// <exception cref="EndOfStreamException">The file has become shorter since it was opened.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public void Read(GgufTensor tensor, long firstRow, Span<byte> destination)
    {
        if (destination.Length % tensor.RowBytes != 0) throw new ArgumentException($"Rows have {tensor.RowBytes} bytes.", nameof(destination));
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstRow, tensor.RowCount - destination.Length / tensor.RowBytes);
        _shards[tensor.Shard].Source.Read(tensor.Offset + firstRow * tensor.RowBytes, destination);
    }

    /// <summary>Whole rows as floats.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="destination">Takes as many rows as it has room for: its length is a multiple of <see cref="GgufTensor.RowLength"/>.</param>
    /// <exception cref="ArgumentException">The destination holds no whole rows.</exception>
    /// <inheritdoc cref="Read" path="/exception"/>
    public void Dequantize(GgufTensor tensor, long firstRow, Span<float> destination)
    {
        if (destination.Length % tensor.RowLength != 0) throw new ArgumentException($"Rows have {tensor.RowLength} elements.", nameof(destination));
        byte[] rows = ArrayPool<byte>.Shared.Rent(Math.Max(tensor.RowBytes, LargestPieceBytes / tensor.RowBytes * tensor.RowBytes));
        try
        {
            for (int rowsAtOnce = rows.Length / tensor.RowBytes; !destination.IsEmpty; firstRow += rowsAtOnce)
            {
                int count = Math.Min(rowsAtOnce, destination.Length / tensor.RowLength);
                Span<byte> piece = rows.AsSpan(0, count * tensor.RowBytes);
                Read(tensor, firstRow, piece);
                Dequantizer.Dequantize(tensor.Type, piece, destination[..(count * tensor.RowLength)]);
                destination = destination[(count * tensor.RowLength)..];
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rows);
        }
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        foreach (GgufShard shard in _shards) shard.Dispose();
    }
}
