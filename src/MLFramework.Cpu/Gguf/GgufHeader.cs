using System.Collections.Immutable;
using System.Numerics;
using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>
/// What stands before the data of one GGUF file, read and validated: a header that was accepted describes tensors that lie wholly inside the file,
/// aligned, and apart from each other. The allocations are bounded by a small multiple of the file's length, whatever its counts claim.
/// </summary>
/// <remarks>Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.</remarks>
internal sealed class GgufHeader
{
    public const uint Magic = 0x46554747;   // "GGUF" in little-endian order
    public const string AlignmentKey = "general.alignment";
    public const int MaximumDimensions = 4, MaximumNameBytes = 64, MaximumKeyBytes = 65535, MaximumStringBytes = 1 << 26, DefaultAlignment = 32;

    // The least that an entry can take: lengths, a one-byte name, types, one dimension, an offset.
    private const int MinimumEntryBytes = 8 + 1 + 4 + 1, MinimumTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

    private GgufHeader(int version, GgufMetadata metadata, ImmutableArray<GgufTensor> tensors) => (Version, Metadata, Tensors) = (version, metadata, tensors);

    /// <summary>2 or 3.</summary>
    public int Version { get; }

    public GgufMetadata Metadata { get; }

    /// <summary>In the order of the file; offsets count from its start.</summary>
    public ImmutableArray<GgufTensor> Tensors { get; }

    /// <summary>Reads the header of a file.</summary>
    /// <param name="source">The file.</param>
    /// <param name="shard">Which file of a split model this is.</param>
    /// <exception cref="GgufException">Anything is wrong with it.</exception>
    public static GgufHeader Read(GgufSource source, int shard)
    {
        string? file = source.Path;
        try
        {
            var cursor = new GgufCursor(source);
            int version = ReadVersion(ref cursor);
            int tensorCount = cursor.ReadCount("header: tensor count", MinimumTensorBytes);
            int entryCount = cursor.ReadCount("header: metadata count", MinimumEntryBytes);
            GgufMetadata metadata = ReadMetadata(ref cursor, entryCount, file);
            long alignment = ReadAlignment(metadata);
            var declared = new (string Name, TensorType Type, ImmutableArray<long> Dimensions, ulong Offset)[tensorCount];
            for (int i = 0; i < tensorCount; i++) declared[i] = ReadTensor(ref cursor, i);
            long dataStart = (cursor.Position + alignment - 1) / alignment * alignment;
            return new GgufHeader(version, metadata, Place(declared, dataStart, source.Length, alignment, shard));
        }
        catch (GgufException e) when (file is not null && e.File is null)
        {
            throw e.In(file);
        }
    }

    private static int ReadVersion(ref GgufCursor cursor)
    {
        uint magic = cursor.ReadUInt32("header: magic");
        if (magic != Magic) throw new GgufException("header: magic", $"is 0x{magic:x8}, not \"GGUF\": this is no GGUF file");
        uint version = cursor.ReadUInt32("header: version");
        if (version is 2 or 3) return (int)version;
        bool swapped = version != 0 && (version & 0xFFFF) == 0;
        throw new GgufException("header: version",
            swapped ? "is in big-endian order; only little-endian files are supported" : $"is {version}; versions 2 and 3 are supported");
    }

    private static GgufMetadata ReadMetadata(ref GgufCursor cursor, int count, string? file)
    {
        var metadata = new GgufMetadata(file);
        for (int i = 0; i < count; i++)
        {
            string key = cursor.ReadString($"metadata {i}: key", MaximumKeyBytes);
            if (key.Length == 0) throw new GgufException($"metadata {i}: key", "is empty");
            string field = $"metadata '{key}'";
            GgufValueType type = ReadType(ref cursor, field);
            if (!metadata.TryAdd(key, type == GgufValueType.Array ? ReadArray(ref cursor, field) : GgufValue.Of(ReadScalar(ref cursor, field, type))))
                throw new GgufException(field, "appears twice");
        }
        return metadata;
    }

    private static GgufValueType ReadType(ref GgufCursor cursor, string field)
    {
        uint type = cursor.ReadUInt32($"{field}: type");
        return type <= (uint)GgufValueType.Float64 ? (GgufValueType)type : throw new GgufException($"{field}: type", $"is {type}, which is no GGUF value type");
    }

    private static object ReadScalar(ref GgufCursor cursor, string field, GgufValueType type) => type switch
    {
        GgufValueType.UInt8 => cursor.ReadByte(field),
        GgufValueType.Int8 => (sbyte)cursor.ReadByte(field),
        GgufValueType.UInt16 => cursor.ReadUInt16(field),
        GgufValueType.Int16 => (short)cursor.ReadUInt16(field),
        GgufValueType.UInt32 => cursor.ReadUInt32(field),
        GgufValueType.Int32 => (int)cursor.ReadUInt32(field),
        GgufValueType.UInt64 => cursor.ReadUInt64(field),
        GgufValueType.Int64 => (long)cursor.ReadUInt64(field),
        GgufValueType.Float32 => BitConverter.UInt32BitsToSingle(cursor.ReadUInt32(field)),
        GgufValueType.Float64 => BitConverter.UInt64BitsToDouble(cursor.ReadUInt64(field)),
        GgufValueType.Bool => Flag(cursor.ReadByte(field), field),
        _ => cursor.ReadString(field, MaximumStringBytes),
    };

    private static GgufValue ReadArray(ref GgufCursor cursor, string field)
    {
        GgufValueType element = ReadType(ref cursor, $"{field}: element");
        switch (element)
        {
            case GgufValueType.UInt8: return Copy<byte>(ref cursor, field);
            case GgufValueType.Int8: return Copy<sbyte>(ref cursor, field);
            case GgufValueType.UInt16: return Copy<ushort>(ref cursor, field);
            case GgufValueType.Int16: return Copy<short>(ref cursor, field);
            case GgufValueType.UInt32: return Copy<uint>(ref cursor, field);
            case GgufValueType.Int32: return Copy<int>(ref cursor, field);
            case GgufValueType.UInt64: return Copy<ulong>(ref cursor, field);
            case GgufValueType.Int64: return Copy<long>(ref cursor, field);
            case GgufValueType.Float32: return Copy<float>(ref cursor, field);
            case GgufValueType.Float64: return Copy<double>(ref cursor, field);
            case GgufValueType.Bool:
                var flags = new bool[cursor.ReadCount($"{field}: count", 1)];
                for (int i = 0; i < flags.Length; i++) flags[i] = Flag(cursor.ReadByte(field), field);
                return GgufValue.OfArray(flags);
            case GgufValueType.String:
                var strings = new string[cursor.ReadCount($"{field}: count", sizeof(ulong))];
                for (int i = 0; i < strings.Length; i++) strings[i] = cursor.ReadString(field, i, MaximumStringBytes);
                return GgufValue.OfArray(strings);
            default: throw new GgufException(field, "is an array of arrays, which no known key needs");
        }
    }

    private static unsafe GgufValue Copy<T>(ref GgufCursor cursor, string field) where T : unmanaged
    {
        var elements = new T[cursor.ReadCount($"{field}: count", sizeof(T))];
        Span<byte> bytes = MemoryMarshal.AsBytes(elements.AsSpan());
        for (int at = 0; at < bytes.Length;)
        {
            int part = Math.Min(1 << 20, bytes.Length - at);
            cursor.Take(part, field).CopyTo(bytes[at..]);
            at += part;
        }
        return GgufValue.OfArray(elements);
    }

    private static bool Flag(byte value, string field) => value <= 1 ? value == 1 : throw new GgufException(field, $"is a boolean of value {value}");

    private static long ReadAlignment(GgufMetadata metadata)
    {
        int alignment = metadata.FindInt32(AlignmentKey, 8, 1 << 30) ?? DefaultAlignment;
        return BitOperations.IsPow2(alignment) ? alignment : throw metadata.Error(AlignmentKey, $"is {alignment}, not a power of two");
    }

    private static (string Name, TensorType Type, ImmutableArray<long> Dimensions, ulong Offset) ReadTensor(ref GgufCursor cursor, int index)
    {
        string name = cursor.ReadString($"tensor {index}: name", MaximumNameBytes);
        if (name.Length == 0) throw new GgufException($"tensor {index}: name", "is empty");
        string field = $"tensor '{name}'";
        uint rank = cursor.ReadUInt32($"{field}: number of dimensions");
        if (rank is 0 or > MaximumDimensions) throw new GgufException($"{field}: number of dimensions", $"is {rank}, outside 1 to {MaximumDimensions}");
        var dimensions = new long[rank];
        for (int i = 0; i < dimensions.Length; i++)
        {
            ulong dimension = cursor.ReadUInt64($"{field}: dimension {i}");
            if (dimension is 0 or > int.MaxValue) throw new GgufException($"{field}: dimension {i}", $"is {dimension}, outside 1 to {int.MaxValue}");
            dimensions[i] = (long)dimension;
        }
        uint number = cursor.ReadUInt32($"{field}: type");
        if (!TensorTypes.IsKnown(number))
            throw new GgufException($"{field}: type", $"is {number}, which is none of the supported {string.Join(", ", TensorTypes.All)}");
        var type = (TensorType)number;
        BlockLayout block = type.Layout();
        if (dimensions[0] % block.Length != 0)
            throw new GgufException($"{field}: dimension 0", $"is {dimensions[0]}, no multiple of the {block.Length} elements of a {type} block");
        if (type.RowBytes(dimensions[0]) > int.MaxValue)
            throw new GgufException($"{field}: dimension 0", $"is {dimensions[0]}: rows beyond 2 GiB are not supported");
        return (name, type, [.. dimensions], cursor.ReadUInt64($"{field}: offset"));
    }

    /// <summary>Checks that every tensor lies inside the data section and none over another.</summary>
    private static ImmutableArray<GgufTensor> Place(
        (string Name, TensorType Type, ImmutableArray<long> Dimensions, ulong Offset)[] declared, long dataStart, long length, long alignment, int shard)
    {
        var names = new HashSet<string>(declared.Length, StringComparer.Ordinal);
        ImmutableArray<GgufTensor>.Builder tensors = ImmutableArray.CreateBuilder<GgufTensor>(declared.Length);
        long room = Math.Max(0, length - dataStart);
        foreach ((string name, TensorType type, ImmutableArray<long> dimensions, ulong offset) in declared)
        {
            string field = $"tensor '{name}'";
            if (!names.Add(name)) throw new GgufException(field, "appears twice");
            if (offset % (ulong)alignment != 0) throw new GgufException($"{field}: offset", $"is {offset}, no multiple of the alignment {alignment}");
            Int128 bytes = type.RowBytes(dimensions[0]);
            foreach (long dimension in dimensions.Skip(1)) bytes *= dimension;   // four dimensions below 2^31 fit 128 bits
            if (offset + bytes > room)
                throw new GgufException($"{field}: data", $"need {bytes} bytes at offset {offset}, but the file has {room} bytes of data");
            tensors.Add(new GgufTensor(name, type, dimensions, shard, dataStart + (long)offset));
        }

        GgufTensor? before = null;
        foreach (GgufTensor tensor in tensors.OrderBy(tensor => tensor.Offset))
        {
            if (before is not null && tensor.Offset < before.Offset + before.ByteLength)
                throw new GgufException($"tensor '{tensor.Name}': offset", $"overlaps tensor '{before.Name}'");
            before = tensor;
        }
        return tensors.MoveToImmutable();
    }
}
