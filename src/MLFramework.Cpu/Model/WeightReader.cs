using System.Buffers.Binary;

namespace MLFramework.Cpu;

/// <summary>Rows of a tensor that are a matrix of their own.</summary>
/// <param name="FirstRow">The first of them.</param>
/// <param name="TensorRows">Rows of the tensor.</param>
internal readonly record struct TensorPart(int FirstRow, int TensorRows);

/// <summary>Takes the tensors of a model out of its file, checks their shapes and packs them for the kernels.</summary>
/// <param name="file">The model.</param>
/// <param name="kernels">Whose layout to pack for.</param>
/// <remarks>
/// F32, F16, BF16, Q8_0 and Q4_0 keep their size; Q5_0 becomes 8-bit integers, which hold it exactly; the other types become 32-bit floats, exactly as
/// dequantized.
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

    /// <summary>Reads a vector of numbers to divide by.</summary>
    /// <exception cref="GgufException">It is missing, of another length, or holds something that is no positive finite number.</exception>
    public float[] PositiveVector(string name, int length)
    {
        float[] values = Vector(name, length);
        foreach (float value in values)
            if (!(value > 0 && float.IsFinite(value))) throw Error(file.GetTensor(name), $"holds {value}; its elements must be positive finite numbers");
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
    /// <param name="part">Where the matrix stands in a tensor that holds several, one below the other; null if it is all of it.</param>
    /// <exception cref="GgufException">It is missing, of another shape, or holds halves that are no finite numbers.</exception>
    public PackedMatrix Matrix(string name, int rows, int columns, Func<int, int>? order = null, TensorPart? part = null)
    {
        GgufTensor tensor = Tensor(name, part?.TensorRows ?? rows, columns);
        int firstRow = part?.FirstRow ?? 0;
        int Source(int row) => firstRow + (order is null ? row : order(row));
        void Floats(int row, Span<float> weights) => file.Dequantize(tensor, Source(row), weights);
        void Halves(int row, Span<float> weights)
        {
            Floats(row, weights);
            foreach (float weight in weights)
                if (!float.IsFinite(weight)) throw Error(tensor, $"holds {weight} in row {Source(row)}; weights must be finite numbers");
        }
        void Codes(int row, Span<sbyte> codes, Span<Half> scales)
        {
            ReadCodes(tensor.Type, file.Rows(tensor, Source(row), 1), codes, scales);
            foreach (Half scale in scales)
                if (!Half.IsFinite(scale)) throw Error(tensor, $"holds a scale of {scale} in row {Source(row)}; scales must be finite numbers");
        }

        try
        {
            return tensor.Type switch
            {
                TensorType.F16 => kernels.PackHalves(rows, columns, Halves),
                TensorType.BF16 => kernels.PackBrains(rows, columns, Floats),
                TensorType.Q8_0 or TensorType.Q5_0 => kernels.PackBytes(rows, columns, Codes),
                TensorType.Q4_0 => kernels.PackNibbles(rows, columns, Codes),
                _ => kernels.PackSingles(rows, columns, Floats),
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

    private static void ReadCodes(TensorType type, ReadOnlySpan<byte> row, Span<sbyte> codes, Span<Half> scales)
    {
        int blockBytes = type.Layout().Bytes;
        for (int index = 0; index < scales.Length; index++)
        {
            ReadOnlySpan<byte> block = row.Slice(index * blockBytes, blockBytes), nibbles = block[^16..];
            Span<sbyte> target = codes.Slice(index * BlockLength, BlockLength);
            scales[index] = BinaryPrimitives.ReadHalfLittleEndian(block);
            uint fifthBits = type == TensorType.Q5_0 ? BinaryPrimitives.ReadUInt32LittleEndian(block[2..]) : 0;
            for (int i = 0; i < BlockLength; i++)
            {
                int nibble = nibbles[i % 16] >> i / 16 * 4 & 15;
                target[i] = type switch
                {
                    TensorType.Q8_0 => (sbyte)block[2 + i],
                    TensorType.Q5_0 => (sbyte)((nibble | (int)(fifthBits >> i & 1) << 4) - 16),
                    _ => (sbyte)(nibble - 8),
                };
            }
        }
    }
}
