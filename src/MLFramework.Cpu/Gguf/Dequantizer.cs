using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>
/// Turns stored blocks into floats, bit for bit as ggml's reference functions (<c>dequantize_row_*</c>) do: same operations, same order, no fused
/// multiply-add. This defines what a file means; the kernels are measured against it.
/// </summary>
public static class Dequantizer
{
    /// <summary>Dequantizes whole blocks.</summary>
    /// <param name="type">How they are stored.</param>
    /// <param name="source">The blocks.</param>
    /// <param name="destination">One float per element.</param>
    /// <exception cref="ArgumentException">The lengths do not go together.</exception>
    public static void Dequantize(TensorType type, ReadOnlySpan<byte> source, Span<float> destination)
    {
        BlockLayout layout = type.Layout();
        if (destination.Length % layout.Length != 0) throw new ArgumentException($"Must be a multiple of {layout.Length} elements.", nameof(destination));
        long bytes = type.RowBytes(destination.Length);
        if (source.Length != bytes)
            throw new ArgumentException($"{destination.Length} elements of {type} take {bytes} bytes, not {source.Length}.", nameof(source));
        switch (type)
        {
            case TensorType.F32:
                source.CopyTo(MemoryMarshal.AsBytes(destination));
                return;
            case TensorType.F16:
                for (int i = 0; i < destination.Length; i++) destination[i] = Half(source[(2 * i)..]);
                return;
            case TensorType.BF16:
                for (int i = 0; i < destination.Length; i++) destination[i] = BrainFloat(source[(2 * i)..]);
                return;
        }
        for (; !destination.IsEmpty; source = source[layout.Bytes..], destination = destination[layout.Length..])
        {
            ReadOnlySpan<byte> block = source[..layout.Bytes];
            Span<float> values = destination[..layout.Length];
            switch (type)
            {
                case TensorType.Q4_0: Q4_0(block, values); break;
                case TensorType.Q4_1: Q4_1(block, values); break;
                case TensorType.Q5_0: Q5_0(block, values); break;
                case TensorType.Q5_1: Q5_1(block, values); break;
                case TensorType.Q8_0: Q8_0(block, values); break;
                case TensorType.Q4_K: Q4_K(block, values); break;
                case TensorType.Q5_K: Q5_K(block, values); break;
                default: Q6_K(block, values); break;
            }
        }
    }

    /// <summary>A half d, then nibbles: byte i holds elements i and i + 16.</summary>
    private static void Q4_0(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Half(block);
        for (int i = 0; i < 16; i++)
        {
            int pair = block[2 + i];
            values[i] = ((pair & 15) - 8) * d;
            values[i + 16] = ((pair >> 4) - 8) * d;
        }
    }

    /// <summary>Halves d and m, then nibbles.</summary>
    private static void Q4_1(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Half(block), m = Half(block[2..]);
        for (int i = 0; i < 16; i++)
        {
            int pair = block[4 + i];
            values[i] = (pair & 15) * d + m;
            values[i + 16] = (pair >> 4) * d + m;
        }
    }

    /// <summary>A half d, the fifth bits of all elements in one 32-bit word, then nibbles.</summary>
    private static void Q5_0(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Half(block);
        uint high = BinaryPrimitives.ReadUInt32LittleEndian(block[2..]);
        for (int i = 0; i < 16; i++)
        {
            int pair = block[6 + i];
            values[i] = (((pair & 15) | FifthBit(high, i)) - 16) * d;
            values[i + 16] = (((pair >> 4) | FifthBit(high, i + 16)) - 16) * d;
        }
    }

    /// <summary>Halves d and m, the fifth bits, then nibbles.</summary>
    private static void Q5_1(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Half(block), m = Half(block[2..]);
        uint high = BinaryPrimitives.ReadUInt32LittleEndian(block[4..]);
        for (int i = 0; i < 16; i++)
        {
            int pair = block[8 + i];
            values[i] = ((pair & 15) | FifthBit(high, i)) * d + m;
            values[i + 16] = ((pair >> 4) | FifthBit(high, i + 16)) * d + m;
        }
    }

    /// <summary>A half d, then signed bytes.</summary>
    private static void Q8_0(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Half(block);
        for (int i = 0; i < 32; i++) values[i] = (sbyte)block[2 + i] * d;
    }

    /// <summary>
    /// Halves d and dmin, packed scales and minima, then four runs of 32 bytes: a run holds a sub-block in its low and the next in its high nibbles.
    /// </summary>
    private static void Q4_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        ReadOnlySpan<byte> packed = block[4..16], nibbles = block[16..];
        float d = Half(block), dmin = Half(block[2..]);
        for (int sub = 0; sub < KQuantScales.Count; sub++)
        {
            (int scale, int minimum) = KQuantScales.Get(packed, sub);
            float step = d * scale, offset = dmin * minimum;
            int run = sub / 2 * 32, shift = sub % 2 * 4;
            for (int i = 0; i < 32; i++) values[sub * 32 + i] = step * ((nibbles[run + i] >> shift) & 15) - offset;
        }
    }

    /// <summary>As Q4_K, with 32 bytes of fifth bits before the nibbles: bit s of byte i belongs to element i of sub-block s.</summary>
    private static void Q5_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        ReadOnlySpan<byte> packed = block[4..16], high = block[16..48], nibbles = block[48..];
        float d = Half(block), dmin = Half(block[2..]);
        for (int sub = 0; sub < KQuantScales.Count; sub++)
        {
            (int scale, int minimum) = KQuantScales.Get(packed, sub);
            float step = d * scale, offset = dmin * minimum;
            int run = sub / 2 * 32, shift = sub % 2 * 4;
            for (int i = 0; i < 32; i++)
                values[sub * 32 + i] = step * (((nibbles[run + i] >> shift) & 15) + ((high[i] >> sub & 1) << 4)) - offset;
        }
    }

    /// <summary>
    /// 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, a half d. Each half of 128 elements is four rows of 32: row r takes its nibbles
    /// from bytes 32 (r mod 2) + i (low for r &lt; 2, else high), its upper bits from bits 2r of byte i, and one scale per 16 elements.
    /// </summary>
    private static void Q6_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = Half(block[208..]);
        for (int half = 0; half < 2; half++)
        {
            ReadOnlySpan<byte> low = block.Slice(half * 64, 64), high = block.Slice(128 + half * 32, 32), scales = block.Slice(192 + half * 8, 8);
            for (int row = 0; row < 4; row++)
                for (int i = 0; i < 32; i++)
                {
                    int q = ((low[row % 2 * 32 + i] >> (row / 2 * 4)) & 15 | ((high[i] >> (2 * row)) & 3) << 4) - 32;
                    values[half * 128 + row * 32 + i] = d * (sbyte)scales[row * 2 + i / 16] * q;
                }
        }
    }

    private static int FifthBit(uint bits, int index) => (int)(bits >> index & 1) << 4;

    private static float BrainFloat(ReadOnlySpan<byte> source) => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(source) << 16);

    private static float Half(ReadOnlySpan<byte> source) => (float)BinaryPrimitives.ReadHalfLittleEndian(source);
}
