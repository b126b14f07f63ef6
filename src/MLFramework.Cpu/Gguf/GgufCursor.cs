using System.Buffers.Binary;
using System.Text;

namespace MLFramework.Cpu;

/// <summary>Reads forward through a GGUF header; every read is checked against the end of the file.</summary>
internal ref struct GgufCursor(GgufSource source)
{
    /// <summary>Read ahead of what is asked for, as headers come in small pieces.</summary>
    private const int BufferBytes = 64 << 10;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private byte[] _buffer = [];
    private int _next, _end;

    /// <summary>Bytes read so far.</summary>
    public long Position { get; private set; }

    /// <summary>Bytes left in the file.</summary>
    public readonly long Remaining => source.Length - Position;

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

    public string ReadString(string field, int maximumBytes) => ReadString(field, index: -1, maximumBytes);

    /// <summary>Reads a string that is an element of an array. Elements are many: their names are only put together for an error.</summary>
    public string ReadString(string field, int index, int maximumBytes)
    {
        if (Remaining < sizeof(ulong)) field = Name(field, index) + ": length";
        ulong bytes = ReadUInt64(field);
        if (bytes > (ulong)maximumBytes) throw new GgufException($"{Name(field, index)}: length", $"is {bytes}, more than the {maximumBytes} allowed");
        if (Remaining < (long)bytes) field = Name(field, index);
        ReadOnlySpan<byte> utf8 = Take((int)bytes, field);
        try
        {
            return Strict.GetString(utf8);
        }
        catch (DecoderFallbackException e)
        {
            throw new GgufException(Name(field, index), "is not valid UTF-8", innerException: e);
        }
    }

    /// <summary>The next bytes, valid until the cursor moves on.</summary>
    public ReadOnlySpan<byte> Take(int bytes, string field)
    {
        if (bytes > Remaining) throw new GgufException(field, $"is cut off: {bytes} bytes needed, {Remaining} left in the file");
        if (bytes > _end - _next) Fill(bytes);
        ReadOnlySpan<byte> taken = _buffer.AsSpan(_next, bytes);
        (_next, Position) = (_next + bytes, Position + bytes);
        return taken;
    }

    private static string Name(string field, int index) => index < 0 ? field : $"{field}[{index}]";

    /// <summary>Reads on, so that at least <paramref name="bytes"/> bytes, which the file has, are in the buffer.</summary>
    private void Fill(int bytes)
    {
        int kept = _end - _next;
        byte[] buffer = bytes <= _buffer.Length ? _buffer : new byte[(int)Math.Min(Math.Max(bytes, BufferBytes), Remaining)];
        _buffer.AsSpan(_next, kept).CopyTo(buffer);
        int read = (int)Math.Min(buffer.Length - kept, Remaining - kept);
        source.Read(Position + kept, buffer.AsSpan(kept, read));
        (_buffer, _next, _end) = (buffer, 0, kept + read);
    }
}
