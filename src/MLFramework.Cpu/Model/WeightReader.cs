using System.Buffers.Binary;
using System.Runtime.ExceptionServices;

namespace MLFramework.Cpu;

/// <summary>Rows of a tensor that are a matrix of their own.</summary>
/// <param name="FirstRow">The first of them.</param>
/// <param name="TensorRows">Rows of the tensor.</param>
internal readonly record struct TensorPart(int FirstRow, int TensorRows);

/// <summary>
/// Takes the tensors of a model out of its file in two steps: first every tensor is looked up and checked, so that a wrong file is refused, and its memory
/// need known, before any memory is taken; then <see cref="Pack"/> packs all matrices for the kernels.
/// </summary>
/// <remarks>
/// All types keep their size, but for three percent more of Q4_K and Q5_K. Disposing frees what was read, unless <see cref="HandOver"/> came before.
/// </remarks>
internal sealed class WeightReader : IDisposable
{
    private const int BlockLength = 32;

    private readonly GgufFile _file;
    private readonly KernelSet _kernels;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);
    private readonly List<IDisposable> _owned = [];
    private readonly List<PackingTask> _tasks = [];
    private readonly ThreadLocal<RowWindow> _window;

    /// <param name="file">The model; open until <see cref="Pack"/> is done.</param>
    /// <param name="kernels">Whose layout to pack for.</param>
    public WeightReader(GgufFile file, KernelSet kernels)
    {
        (_file, _kernels) = (file, kernels);
        _window = new ThreadLocal<RowWindow>(() => new RowWindow(file));
    }

    /// <summary>Bytes that the matrices and tables take once they are packed.</summary>
    public long PackedBytes => _tasks.Sum(task => task.Weights.Bytes);

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Contains(string name) => _file.FindTensor(name) is not null;

    /// <summary>Finds a tensor and checks its shape.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="rows">Rows expected.</param>
    /// <param name="columns">Columns expected.</param>
    /// <exception cref="GgufException">It is missing or of another shape.</exception>
    public GgufTensor Tensor(string name, int rows, int columns)
    {
        GgufTensor tensor = _file.GetTensor(name);
        if (tensor.RowLength != columns || tensor.RowCount != rows || tensor.Dimensions.Length > 2)
            throw Error(tensor, $"has shape [{string.Join(", ", tensor.Dimensions)}] where this model needs [{columns}{(rows == 1 ? "" : $", {rows}")}]");
        _read.Add(name);
        return tensor;
    }

    /// <summary>Reads a vector.</summary>
    /// <exception cref="GgufException">It is missing or of another length.</exception>
    public float[] Vector(string name, int length)
    {
        var values = new float[length];
        _file.Dequantize(Tensor(name, 1, length), 0, values);
        return values;
    }

    /// <summary>Takes memory for what is put together from several vectors.</summary>
    public NativeBuffer<float> Buffer(int length) => Own(new NativeBuffer<float>(length));

    /// <summary>Reads a vector of numbers to divide by.</summary>
    /// <exception cref="GgufException">It is missing, of another length, or holds something that is no positive finite number.</exception>
    public float[] PositiveVector(string name, int length)
    {
        float[] values = Vector(name, length);
        foreach (float value in values)
            if (!(value > 0 && float.IsFinite(value))) throw Error(_file.GetTensor(name), $"holds {value}; its elements must be positive finite numbers");
        return values;
    }

    /// <summary>Reads a vector into memory padded with zeros.</summary>
    /// <exception cref="GgufException">It is missing or of another length.</exception>
    public unsafe NativeBuffer<float> PaddedVector(string name, int length)
    {
        NativeBuffer<float> buffer = Buffer(Padding.Pad(length));
        Vector(name, length).CopyTo(new Span<float>(buffer.Pointer, length));
        return buffer;
    }

    /// <summary>Takes a matrix, for <see cref="Pack"/> to fill.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="rows">Rows expected.</param>
    /// <param name="columns">Columns expected.</param>
    /// <param name="order">Which row of the tensor becomes a row of the matrix; null for the same.</param>
    /// <param name="part">Where the matrix stands in a tensor that holds several, one below the other; null if it is all of it.</param>
    /// <exception cref="GgufException">It is missing or of another shape.</exception>
    public PackedMatrix Matrix(string name, int rows, int columns, Func<int, int>? order = null, TensorPart? part = null)
    {
        GgufTensor tensor = Tensor(name, part?.TensorRows ?? rows, columns);
        int firstRow = part?.FirstRow ?? 0;
        int Source(int row) => firstRow + (order is null ? row : order(row));
        ReadOnlySpan<byte> Stored(int row) => _window.Value!.Row(tensor, Source(row));
        void Floats(int row, Span<float> weights) => Dequantizer.Dequantize(tensor.Type, Stored(row), weights);
        void Halves(int row, Span<float> weights)
        {
            Floats(row, weights);
            foreach (float weight in weights)
                if (!float.IsFinite(weight)) throw Error(tensor, $"holds {weight} in row {Source(row)}; weights must be finite numbers");
        }
        void Codes(int row, Span<sbyte> codes, Span<Half> scales)
        {
            ReadBytes(Stored(row), codes, scales);
            foreach (Half scale in scales)
                if (!Half.IsFinite(scale)) throw Error(tensor, $"holds a scale of {scale} in row {Source(row)}; scales must be finite numbers");
        }
        ReadOnlySpan<byte> Blocks(int row)
        {
            ReadOnlySpan<byte> stored = Stored(row);
            if (!HasFiniteScales(tensor.Type, stored)) throw Error(tensor, $"holds a scale or minimum that is no finite number in row {Source(row)}");
            return stored;
        }

        return Add(tensor, tensor.Type switch
        {
            TensorType.F16 => _kernels.PackHalves(rows, columns, Halves),
            TensorType.BF16 => _kernels.PackBrains(rows, columns, Floats),
            TensorType.F32 => _kernels.PackSingles(rows, columns, Floats),
            TensorType.Q8_0 => _kernels.PackBytes(rows, columns, Codes),
            _ => _kernels.PackNarrow(tensor.Type, rows, columns, Blocks),
        });
    }

    /// <summary>Takes a table of which rows are read, for <see cref="Pack"/> to fill.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="rows">Rows expected.</param>
    /// <param name="columns">Columns expected.</param>
    /// <exception cref="GgufException">It is missing or of another shape.</exception>
    public EmbeddingTable Table(string name, int rows, int columns)
    {
        GgufTensor tensor = Tensor(name, rows, columns);
        return Add(tensor, new EmbeddingTable(_file, tensor));
    }

    /// <summary>Refuses a model with tensors that were not read: it is something else than its architecture says.</summary>
    /// <exception cref="GgufException">There are such tensors.</exception>
    public void RefuseUnread()
    {
        if (_file.Tensors.FirstOrDefault(tensor => !_read.Contains(tensor.Name)) is { } unread)
            throw Error(unread, "is not part of the architecture that the file names, as this engine knows it; without it the model would compute something else");
    }

    /// <summary>Reads and packs the matrices and tables, on several threads, in the order of the file.</summary>
    /// <param name="threads">Most threads.</param>
    /// <param name="progress">Told of the bytes packed, one call at a time; null for nobody.</param>
    /// <param name="cancellationToken">Gives up between two pieces.</param>
    /// <exception cref="GgufException">A matrix holds halves that are no finite numbers.</exception>
    /// <exception cref="IOException">The file cannot be read, or became shorter.</exception>
    /// <exception cref="OutOfMemoryException">There is not enough memory.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public void Pack(int threads, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        TakeMemory();
        PackingPiece[] pieces = [.. _tasks.OrderBy(task => (task.Tensor.Shard, task.Tensor.Offset)).SelectMany(task => task.Pieces())];
        var meter = new LoadMeter(PackedBytes, progress);
        int next = -1;
        void PackPieces()
        {
            for (int i = Interlocked.Increment(ref next); i < pieces.Length; i = Interlocked.Increment(ref next))
            {
                cancellationToken.ThrowIfCancellationRequested();
                meter.Add(pieces[i].Pack());
            }
        }

        try
        {
            Parallel.For(0, Math.Min(threads, pieces.Length), new ParallelOptions { MaxDegreeOfParallelism = threads }, (_, state) =>
            {
                try
                {
                    PackPieces();
                }
                catch
                {
                    // The others stop at their next piece.
                    Volatile.Write(ref next, pieces.Length);
                    throw;
                }
            });
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
        foreach (PackingTask task in _tasks) task.Weights.FinishPacking();
    }

    /// <summary>Leaves what was read to the caller.</summary>
    public void HandOver() => _owned.Clear();

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _window.Dispose();
    }

    private T Add<T>(GgufTensor tensor, T weights) where T : IPackable
    {
        _tasks.Add(new PackingTask(tensor, weights));
        return Own(weights);
    }

    private T Own<T>(T owned) where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }

    /// <summary>Gives all weights their parts of one buffer: single matrices of a small model are smaller than a huge page.</summary>
    private void TakeMemory()
    {
        const int CacheLine = 64;
        static long Padded(IPackable weights) => (weights.Bytes + CacheLine - 1) / CacheLine * CacheLine;

        using var memory = new NativeBuffer<byte>(_tasks.Sum(task => Padded(task.Weights)), usesHugePages: true);
        long offset = 0;
        foreach (PackingTask task in _tasks)
        {
            task.Weights.Take(new MemorySlice(memory, offset));
            offset += Padded(task.Weights);
        }
    }

    private GgufException Error(GgufTensor tensor, string problem) => new($"tensor '{tensor.Name}'", problem, _file.Paths.ElementAtOrDefault(tensor.Shard));

    /// <summary>Whether the one or two halves of each block are finite numbers.</summary>
    private static bool HasFiniteScales(TensorType type, ReadOnlySpan<byte> row)
    {
        int blockBytes = type.Layout().Bytes, first = type == TensorType.Q6_K ? blockBytes - 2 : 0;
        bool hasMinimum = type is TensorType.Q4_1 or TensorType.Q5_1 or TensorType.Q4_K or TensorType.Q5_K;
        for (; !row.IsEmpty; row = row[blockBytes..])
        {
            if (!Half.IsFinite(BinaryPrimitives.ReadHalfLittleEndian(row[first..]))) return false;
            if (hasMinimum && !Half.IsFinite(BinaryPrimitives.ReadHalfLittleEndian(row[2..]))) return false;
        }
        return true;
    }

    private static void ReadBytes(ReadOnlySpan<byte> row, Span<sbyte> codes, Span<Half> scales)
    {
        int blockBytes = TensorType.Q8_0.Layout().Bytes;
        for (int index = 0; index < scales.Length; index++)
        {
            ReadOnlySpan<byte> block = row.Slice(index * blockBytes, blockBytes);
            scales[index] = BinaryPrimitives.ReadHalfLittleEndian(block);
            for (int i = 0; i < BlockLength; i++) codes[index * BlockLength + i] = (sbyte)block[2 + i];
        }
    }
}
