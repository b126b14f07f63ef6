using System.Buffers.Binary;
using System.Text;

namespace MLFramework.Cpu;

/// <summary>Reads forward through the bytes of a GGUF header; every read is checked against the end of the file.</summary>
internal unsafe ref struct GgufCursor(byte* start, long length)
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Bytes read so far.</summary>
    public long Position { get; private set; }

    /// <summary>Bytes left in the file.</summary>
    public readonly long Remaining => length - Position;

    public byte ReadByte(string field) => Take(1, field)[0];

    public ushort ReadUInt16(string field) => BinaryPrimitives.ReadUInt16LittleEndian(Take(2, field));

    public uint ReadUInt32(string field) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, field));

    public ulong ReadUInt64(string field) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, field));

    /// <summary>
    /// A count of items that each need at least <paramref name="minimumBytes"/>: more than fit the rest of the file are refused before anything is
    /// allocated.
    /// </summary>
    public int ReadCount(string field, int minimumBytes)
    {
        ulong count = ReadUInt64(field);
        if (count > (ulong)(Remaining / minimumBytes)) throw new GgufException(field, $"is {count}, more than the {Remaining} bytes left can hold");
        return count <= (ulong)Array.MaxLength ? (int)count : throw new GgufException(field, $"is {count}, more than one array can hold");
    }

    public string ReadString(string field, int maximumBytes)
    {
        ulong bytes = ReadUInt64($"{field}: length");
        if (bytes > (ulong)maximumBytes) throw new GgufException($"{field}: length", $"is {bytes}, more than the {maximumBytes} allowed");
        ReadOnlySpan<byte> utf8 = Take((int)bytes, field);
        try
        {
            return Strict.GetString(utf8);
        }
        catch (DecoderFallbackException e)
        {
            throw new GgufException(field, "is not valid UTF-8", innerException: e);
        }
    }

    /// <summary>Bytes inside the mapping: copy what is kept.</summary>
    public ReadOnlySpan<byte> Take(int bytes, string field)
    {
        if (bytes > Remaining) throw new GgufException(field, $"is cut off: {bytes} bytes needed, {Remaining} left in the file");
        var taken = new ReadOnlySpan<byte>(start + Position, bytes);
        Position += bytes;
        return taken;
    }
}
