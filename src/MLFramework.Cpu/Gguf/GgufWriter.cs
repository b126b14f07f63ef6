using System.Collections.Immutable;
using System.Text;

namespace MLFramework.Cpu;

/// <summary>Writes GGUF v3 files: metadata and tensors in the order in which they were added, tensor data aligned to 32 bytes.</summary>
public sealed class GgufWriter
{
    private readonly OrderedDictionary<string, GgufValue> _metadata = new(StringComparer.Ordinal);
    private readonly OrderedDictionary<string, (GgufTensor Tensor, Action<Stream> Write)> _tensors = new(StringComparer.Ordinal);
    private long _dataLength;

    /// <summary>Adds a scalar or string.</summary>
    /// <param name="key">A key that is not there yet.</param>
    /// <param name="value">An integer of 8 to 64 bits, float, double, bool or string.</param>
    /// <exception cref="ArgumentException">The key is taken or empty, or GGUF has no such type.</exception>
    public GgufWriter Add(string key, object value) => Add(key, GgufValue.Of(value));

    /// <summary>Adds an array.</summary>
    /// <param name="key">A key that is not there yet.</param>
    /// <param name="values">Elements of a type that <see cref="Add(string, object)"/> takes.</param>
    /// <exception cref="ArgumentException">The key is taken or empty, or GGUF has no such type.</exception>
    public GgufWriter AddArray<T>(string key, T[] values) => Add(key, GgufValue.OfArray(values));

    /// <summary>Adds a value as it was read from another file.</summary>
    /// <exception cref="ArgumentException">The key is taken or empty, or it asks for another alignment than this writer's.</exception>
    public GgufWriter Add(string key, GgufValue value)
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        if (key == GgufHeader.AlignmentKey && value.ToString() != $"{GgufHeader.DefaultAlignment}")
            throw new ArgumentException($"{key} is {value}, but tensors are aligned to {GgufHeader.DefaultAlignment} bytes here.", nameof(value));
        _metadata.Add(key, value);
        return this;
    }

    /// <summary>Adds a tensor whose blocks are in memory.</summary>
    /// <param name="name">Name of at most 64 bytes that is not there yet.</param>
    /// <param name="type">How the elements are stored.</param>
    /// <param name="dimensions">One to four dimensions, fastest first.</param>
    /// <param name="blocks">The blocks of all rows; kept, not copied, until <see cref="Write"/>.</param>
    /// <exception cref="ArgumentException">The name, dimensions or length do not fit.</exception>
    public GgufWriter AddTensor(string name, TensorType type, ReadOnlySpan<long> dimensions, ReadOnlyMemory<byte> blocks)
    {
        GgufTensor tensor = Declare(name, type, dimensions);
        if (blocks.Length != tensor.ByteLength) throw new ArgumentException($"{tensor} takes {tensor.ByteLength} bytes, not {blocks.Length}.", nameof(blocks));
        return AddTensor(tensor, stream => stream.Write(blocks.Span));
    }

    /// <summary>Adds a tensor whose blocks are made when the file is written, so that a model larger than memory can be.</summary>
    /// <param name="name">Name of at most 64 bytes that is not there yet.</param>
    /// <param name="type">How the elements are stored.</param>
    /// <param name="dimensions">One to four dimensions, fastest first.</param>
    /// <param name="write">Writes exactly the bytes of the tensor.</param>
    /// <exception cref="ArgumentException">The name or dimensions do not fit.</exception>
    public GgufWriter AddTensor(string name, TensorType type, ReadOnlySpan<long> dimensions, Action<Stream> write) =>
        AddTensor(Declare(name, type, dimensions), write);

    /// <summary>Quantizes a tensor and adds it.</summary>
    /// <param name="name">Name of at most 64 bytes that is not there yet.</param>
    /// <param name="type">How to store the elements.</param>
    /// <param name="dimensions">One to four dimensions, fastest first.</param>
    /// <param name="values">All elements, row after row.</param>
    /// <exception cref="ArgumentException">The name, dimensions or length do not fit.</exception>
    public GgufWriter AddTensor(string name, TensorType type, ReadOnlySpan<long> dimensions, ReadOnlySpan<float> values)
    {
        GgufTensor tensor = Declare(name, type, dimensions);
        if (values.Length != tensor.ElementCount)
            throw new ArgumentException($"{tensor} has {tensor.ElementCount} elements, not {values.Length}.", nameof(values));
        var blocks = new byte[tensor.ByteLength];
        Quantizer.Quantize(type, values, blocks);
        return AddTensor(tensor, stream => stream.Write(blocks));
    }

    /// <summary>Writes the file.</summary>
    /// <param name="stream">A seekable stream at its start.</param>
    /// <exception cref="InvalidOperationException">A tensor's callback wrote more or less than its bytes.</exception>
    public void Write(Stream stream)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(GgufHeader.Magic);
        writer.Write(3u);
        writer.Write((ulong)_tensors.Count);
        writer.Write((ulong)_metadata.Count);
        foreach ((string key, GgufValue value) in _metadata)
        {
            WriteString(writer, key);
            writer.Write((uint)value.Type);
            WriteValue(writer, value);
        }
        foreach ((GgufTensor tensor, _) in _tensors.Values)
        {
            WriteString(writer, tensor.Name);
            writer.Write((uint)tensor.Dimensions.Length);
            foreach (long dimension in tensor.Dimensions) writer.Write((ulong)dimension);
            writer.Write((uint)tensor.Type);
            writer.Write((ulong)tensor.Offset);
        }
        Pad(writer);
        foreach ((GgufTensor tensor, Action<Stream> write) in _tensors.Values)
        {
            long before = stream.Position;
            write(stream);
            if (stream.Position - before != tensor.ByteLength)
                throw new InvalidOperationException($"{tensor} takes {tensor.ByteLength} bytes, but {stream.Position - before} were written.");
            Pad(writer);
        }
    }

    /// <summary>Makes the tensor's place, counted from the start of the data.</summary>
    private GgufTensor Declare(string name, TensorType type, ReadOnlySpan<long> dimensions)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (Encoding.UTF8.GetByteCount(name) > GgufHeader.MaximumNameBytes)
            throw new ArgumentException($"Names have at most {GgufHeader.MaximumNameBytes} bytes.", nameof(name));
        if (dimensions.Length is 0 or > GgufHeader.MaximumDimensions)
            throw new ArgumentException($"One to {GgufHeader.MaximumDimensions} dimensions.", nameof(dimensions));
        foreach (long dimension in dimensions) ArgumentOutOfRangeException.ThrowIfLessThan(dimension, 1, nameof(dimensions));
        return new GgufTensor(name, type, dimensions.ToImmutableArray(), shard: 0, _dataLength);
    }

    private GgufWriter AddTensor(GgufTensor tensor, Action<Stream> write)
    {
        _tensors.Add(tensor.Name, (tensor, write));
        _dataLength = Align(_dataLength + tensor.ByteLength);
        return this;
    }

    private static void WriteValue(BinaryWriter writer, GgufValue value)
    {
        if (value.Content is not Array array)
        {
            WriteScalar(writer, value.Content);
            return;
        }
        writer.Write((uint)value.ElementType!.Value);
        writer.Write((ulong)array.Length);
        foreach (object element in array) WriteScalar(writer, element);
    }

    private static void WriteScalar(BinaryWriter writer, object scalar)
    {
        switch (scalar)
        {
            case byte n: writer.Write(n); break;
            case sbyte n: writer.Write(n); break;
            case ushort n: writer.Write(n); break;
            case short n: writer.Write(n); break;
            case uint n: writer.Write(n); break;
            case int n: writer.Write(n); break;
            case ulong n: writer.Write(n); break;
            case long n: writer.Write(n); break;
            case float x: writer.Write(x); break;
            case double x: writer.Write(x); break;
            case bool flag: writer.Write(flag); break;
            default: WriteString(writer, (string)scalar); break;
        }
    }

    private static void WriteString(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Pad(BinaryWriter writer)
    {
        long position = writer.BaseStream.Position;
        writer.Write(new byte[Align(position) - position]);
    }

    private static long Align(long offset) => (offset + GgufHeader.DefaultAlignment - 1) / GgufHeader.DefaultAlignment * GgufHeader.DefaultAlignment;
}
