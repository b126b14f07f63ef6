using System.Collections.Immutable;

namespace MLFramework.Cpu;

/// <summary>Where a tensor lies and what shape it has. Its data come from the <see cref="GgufFile"/> that holds it.</summary>
public sealed class GgufTensor
{
    internal GgufTensor(string name, TensorType type, ImmutableArray<long> dimensions, int shard, long offset)
    {
        (Name, Type, Dimensions, Shard, Offset) = (name, type, dimensions, shard, offset);
        RowCount = dimensions.Skip(1).Aggregate(1L, (product, dimension) => checked(product * dimension));
        RowBytes = checked((int)type.RowBytes(dimensions[0]));
        ByteLength = checked(RowCount * RowBytes);
        ElementCount = checked(RowCount * dimensions[0]);
    }

    /// <summary>Name, for example <c>blk.0.attn_q.weight</c>.</summary>
    public string Name { get; }

    /// <summary>How the elements are stored.</summary>
    public TensorType Type { get; }

    /// <summary>One to four dimensions, fastest first as GGUF writes them: a matrix [out, in] has dimensions (in, out).</summary>
    public ImmutableArray<long> Dimensions { get; }

    /// <summary>Index of the file of a split model that holds the data; 0 if the model is one file.</summary>
    public int Shard { get; }

    /// <summary>Offset of the data in that file, in bytes from its start.</summary>
    public long Offset { get; }

    /// <summary>Elements per row.</summary>
    public int RowLength => (int)Dimensions[0];

    /// <summary>Bytes per row.</summary>
    public int RowBytes { get; }

    /// <summary>Number of rows: the product of all dimensions but the first.</summary>
    public long RowCount { get; }

    /// <summary>Number of elements.</summary>
    public long ElementCount { get; }

    /// <summary>Bytes of the data.</summary>
    public long ByteLength { get; }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {Type} [{string.Join(", ", Dimensions)}]";
}
