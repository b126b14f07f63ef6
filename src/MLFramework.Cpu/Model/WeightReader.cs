using System.Buffers.Binary;

namespace MLFramework.Cpu;

/// <summary>Takes the tensors of a model out of its file, checks their shapes and packs them for the kernels.</summary>
/// <param name="file">The model.</param>
/// <param name="kernels">Whose layout to pack for.</param>
/// <remarks>
/// All types keep their size, but for three percent more of Q4_K and Q5_K.
/// </remarks>
internal sealed class WeightReader(GgufFile file, KernelSet kernels)
{
    private const int BlockLength = 32;

    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Contains(string name) => file.FindTensor(name) is not null;

    /// <summary>Finds a tensor and checks its shape.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="rows">Rows expected.</param>
    /// <param name="columns">Columns expected.</param>
    /// <exception cref="GgufException">It is missing or of another shape.</exception>
    public GgufTensor Tensor(string name, int rows, int columns)
    {
        GgufTensor tensor = file.GetTensor(name);
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
        file.Dequantize(Tensor(name, 1, length), 0, values);
        return values;
    }

    /// <summary>Reads a vector into memory padded with zeros.</summary>
    /// <exception cref="GgufException">It is missing or of another length.</exception>
    public unsafe NativeBuffer<float> PaddedVector(string name, int length)
    {
        var buffer = new NativeBuffer<float>(Padding.Pad(length));
        Vector(name, length).CopyTo(new Span<float>(buffer.Pointer, length));
        return buffer;
    }

    /// <summary>Reads and packs a matrix.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="rows">Rows expected.</param>
    /// <param name="columns">Columns expected.</param>
    /// <param name="order">Which row of the tensor becomes a row of the matrix; null for the same.</param>
    /// <exception cref="GgufException">It is missing, of another shape, or holds halves that are no finite numbers.</exception>
    public PackedMatrix Matrix(string name, int rows, int columns, Func<int, int>? order = null)
    {
        GgufTensor tensor = Tensor(name, rows, columns);
        int Source(int row) => order is null ? row : order(row);
        void Floats(int row, Span<float> weights) => file.Dequantize(tensor, Source(row), weights);
        void Halves(int row, Span<float> weights)
        {
            Floats(row, weights);
            foreach (float weight in weights)
                if (!float.IsFinite(weight)) throw Error(tensor, $"holds {weight} in row {Source(row)}; weights must be finite numbers");
        }
        void Codes(int row, Span<sbyte> codes, Span<Half> scales)
        {
            ReadBytes(file.Rows(tensor, Source(row), 1), codes, scales);
            foreach (Half scale in scales)
                if (!Half.IsFinite(scale)) throw Error(tensor, $"holds a scale of {scale} in row {Source(row)}; scales must be finite numbers");
        }
        ReadOnlySpan<byte> Stored(int row)
        {
            ReadOnlySpan<byte> stored = file.Rows(tensor, Source(row), 1);
            if (!HasFiniteScales(tensor.Type, stored)) throw Error(tensor, $"holds a scale or minimum that is no finite number in row {Source(row)}");
            return stored;
        }

        try
        {
            return tensor.Type switch
            {
                TensorType.F16 => kernels.PackHalves(rows, columns, Halves),
                TensorType.BF16 => kernels.PackBrains(rows, columns, Floats),
                TensorType.F32 => kernels.PackSingles(rows, columns, Floats),
                TensorType.Q8_0 => kernels.PackBytes(rows, columns, Codes),
                _ => kernels.PackNarrow(tensor.Type, rows, columns, Stored),
            };
        }
        catch (AggregateException e) when (e.InnerException is GgufException damage)
        {
            throw damage;
        }
    }

    /// <summary>Refuses a model with tensors that were not read: it is something else than its architecture says.</summary>
    /// <exception cref="GgufException">There are such tensors.</exception>
    public void RefuseUnread()
    {
        if (file.Tensors.FirstOrDefault(tensor => !_read.Contains(tensor.Name)) is { } unread)
            throw Error(unread, "is not part of the architecture that the file names, as this engine knows it; without it the model would compute something else");
    }

    private GgufException Error(GgufTensor tensor, string problem) => new($"tensor '{tensor.Name}'", problem, file.Paths.ElementAtOrDefault(tensor.Shard));

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
