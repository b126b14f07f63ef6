using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>d (q − 8).</summary>
internal readonly struct Q4_0Blocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q4_0;

    public static int HighBits => 0;

    public static int Offset => 8;

    public static bool HasMinima => false;

    public static int BlocksPerSuper => 1;

    public static int Parts => 1;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        StoredCodes.Nibbles(stored[2..], codes);
        return (BinaryPrimitives.ReadHalfLittleEndian(stored), default);
    }
}

/// <summary>d q + m.</summary>
internal readonly struct Q4_1Blocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q4_1;

    public static int HighBits => 0;

    public static int Offset => 0;

    public static bool HasMinima => true;

    public static int BlocksPerSuper => 1;

    public static int Parts => 1;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        StoredCodes.Nibbles(stored[4..], codes);
        return (BinaryPrimitives.ReadHalfLittleEndian(stored), BinaryPrimitives.ReadHalfLittleEndian(stored[2..]));
    }
}

/// <summary>d (q − 16).</summary>
internal readonly struct Q5_0Blocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q5_0;

    public static int HighBits => 1;

    public static int Offset => 16;

    public static bool HasMinima => false;

    public static int BlocksPerSuper => 1;

    public static int Parts => 1;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        StoredCodes.Nibbles(stored[6..], codes);
        StoredCodes.AddFifthBits(BinaryPrimitives.ReadUInt32LittleEndian(stored[2..]), codes);
        return (BinaryPrimitives.ReadHalfLittleEndian(stored), default);
    }
}

/// <summary>d q + m.</summary>
internal readonly struct Q5_1Blocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q5_1;

    public static int HighBits => 1;

    public static int Offset => 16;

    public static bool HasMinima => true;

    public static int BlocksPerSuper => 1;

    public static int Parts => 1;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        StoredCodes.Nibbles(stored[8..], codes);
        StoredCodes.AddFifthBits(BinaryPrimitives.ReadUInt32LittleEndian(stored[4..]), codes);
        return (BinaryPrimitives.ReadHalfLittleEndian(stored), BinaryPrimitives.ReadHalfLittleEndian(stored[2..]));
    }
}

/// <summary>d s q − dmin m, with 6 bits for s and m of each block.</summary>
internal readonly struct Q4_KBlocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q4_K;

    public static int HighBits => 0;

    public static int Offset => 0;

    public static bool HasMinima => true;

    public static int BlocksPerSuper => 8;

    public static int Parts => 1;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        StoredCodes.NibbleRuns(stored[16..], codes);
        return StoredCodes.ScalesAndMinima(stored, factors);
    }
}

/// <summary>d s q − dmin m, with 6 bits for s and m of each block.</summary>
internal readonly struct Q5_KBlocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q5_K;

    public static int HighBits => 1;

    public static int Offset => 16;

    public static bool HasMinima => true;

    public static int BlocksPerSuper => 8;

    public static int Parts => 1;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        ReadOnlySpan<byte> high = stored.Slice(16, 32);
        StoredCodes.NibbleRuns(stored[48..], codes);
        for (int i = 0; i < codes.Length; i += Vector128<byte>.Count)
            (Vector128.Create<byte>(codes[i..]) | (Vector128.Create(high[(i % 32)..]) >>> i / 32 & Vector128<byte>.One) << 4).CopyTo(codes[i..]);
        return StoredCodes.ScalesAndMinima(stored, factors);
    }
}

/// <summary>d s (q − 32), with a signed byte s per 16.</summary>
internal readonly struct Q6_KBlocks : INarrowBlocks
{
    public static TensorType Type => TensorType.Q6_K;

    public static int HighBits => 2;

    public static int Offset => 32;

    public static bool HasMinima => false;

    public static int BlocksPerSuper => 8;

    public static int Parts => 2;

    public static (Half Scale, Half Minimum) Unpack(ReadOnlySpan<byte> stored, Span<byte> codes, Span<byte> factors)
    {
        for (int half = 0; half < 2; half++)
        {
            ReadOnlySpan<byte> low = stored.Slice(half * 64, 64), high = stored.Slice(128 + half * 32, 32);
            for (int row = 0; row < 4; row++)
                for (int i = 0; i < 32; i += Vector128<byte>.Count)
                {
                    Vector128<byte> nibbles = Vector128.Create(low[(row % 2 * 32 + i)..]) >>> row / 2 * 4 & Vector128.Create((byte)15);
                    (nibbles | (Vector128.Create(high[i..]) >>> 2 * row & Vector128.Create((byte)3)) << 4).CopyTo(codes[(half * 128 + row * 32 + i)..]);
                }
        }
        stored.Slice(192, 16).CopyTo(factors);
        return (BinaryPrimitives.ReadHalfLittleEndian(stored[208..]), default);
    }
}

/// <summary>What the stored types have in common.</summary>
file static class StoredCodes
{
    /// <summary>Times a byte: that byte eight times.</summary>
    private const ulong EightBytes = 0x0101010101010101;

    /// <summary>Byte i holds elements i and i + 16.</summary>
    public static void Nibbles(ReadOnlySpan<byte> stored, Span<byte> codes)
    {
        Vector128<byte> pairs = Vector128.Create(stored);
        (pairs & Vector128.Create((byte)15)).CopyTo(codes);
        (pairs >>> 4).CopyTo(codes[16..]);
    }

    /// <summary>A bit per element.</summary>
    public static void AddFifthBits(uint bits, Span<byte> codes)
    {
        for (int i = 0; i < 32; i += Vector128<byte>.Count, bits >>= Vector128<byte>.Count)
        {
            // Bits 0 to 7 in the first eight bytes, 8 to 15 in the others; each byte looks at its own.
            Vector128<byte> own = Vector128.Create(0x8040201008040201).AsByte();
            Vector128<byte> spread = Vector128.Create((bits & 0xFF) * EightBytes, (bits >> 8 & 0xFF) * EightBytes).AsByte();
            (Vector128.Create<byte>(codes[i..]) | Vector128.Equals(spread & own, own) & Vector128.Create((byte)16)).CopyTo(codes[i..]);
        }
    }

    /// <summary>Four runs of 32 bytes: a run holds a block in its low and the next in its high nibbles.</summary>
    public static void NibbleRuns(ReadOnlySpan<byte> stored, Span<byte> codes)
    {
        for (int i = 0; i < codes.Length; i += Vector128<byte>.Count)
            (Vector128.Create(stored[(i / 64 * 32 + i % 32)..]) >>> i / 32 % 2 * 4 & Vector128.Create((byte)15)).CopyTo(codes[i..]);
    }

    /// <summary>Two halves and twelve bytes; as the kernel only adds minima, theirs is negated.</summary>
    public static (Half Scale, Half Minimum) ScalesAndMinima(ReadOnlySpan<byte> stored, Span<byte> factors)
    {
        for (int block = 0; block < KQuantScales.Count; block++)
        {
            (int scale, int minimum) = KQuantScales.Get(stored.Slice(4, KQuantScales.Bytes), block);
            (factors[2 * block], factors[2 * block + 1]) = ((byte)scale, (byte)minimum);
        }
        return (BinaryPrimitives.ReadHalfLittleEndian(stored), -BinaryPrimitives.ReadHalfLittleEndian(stored[2..]));
    }
}
