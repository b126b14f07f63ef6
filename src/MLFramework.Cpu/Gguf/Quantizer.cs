using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>
/// Turns floats into stored blocks. The plain and the 32-element types follow ggml's reference functions (<c>quantize_row_*_ref</c>) bit for bit.
/// The K types round every sub-block between its extremes, without ggml's search for the best scale: valid files, somewhat less exact.
/// </summary>
public static class Quantizer
{
    /// <summary>Quantizes whole blocks.</summary>
    /// <param name="type">How to store them.</param>
    /// <param name="source">Finite values whose scale fits a half (magnitudes up to about 65504 times the largest code).</param>
    /// <param name="destination">Takes the blocks.</param>
    /// <exception cref="ArgumentException">The lengths do not go together.</exception>
    public static void Quantize(TensorType type, ReadOnlySpan<float> source, Span<byte> destination)
    {
        BlockLayout layout = type.Layout();
        if (source.Length % layout.Length != 0) throw new ArgumentException($"Must be a multiple of {layout.Length} elements.", nameof(source));
        long bytes = type.RowBytes(source.Length);
        if (destination.Length != bytes)
            throw new ArgumentException($"{source.Length} elements of {type} take {bytes} bytes, not {destination.Length}.", nameof(destination));
        switch (type)
        {
            case TensorType.F32:
                MemoryMarshal.AsBytes(source).CopyTo(destination);
                return;
            case TensorType.F16:
                for (int i = 0; i < source.Length; i++) WriteHalf(destination[(2 * i)..], source[i]);
                return;
            case TensorType.BF16:
                for (int i = 0; i < source.Length; i++) BinaryPrimitives.WriteUInt16LittleEndian(destination[(2 * i)..], ToBrainFloat(source[i]));
                return;
        }
        destination.Clear();
        for (; !source.IsEmpty; source = source[layout.Length..], destination = destination[layout.Bytes..])
        {
            ReadOnlySpan<float> values = source[..layout.Length];
            Span<byte> block = destination[..layout.Bytes];
            switch (type)
            {
                case TensorType.Q4_0: Symmetric(values, block, bits: 4); break;
                case TensorType.Q5_0: Symmetric(values, block, bits: 5); break;
                case TensorType.Q4_1: Affine(values, block, bits: 4); break;
                case TensorType.Q5_1: Affine(values, block, bits: 5); break;
                case TensorType.Q8_0: Q8_0(values, block); break;
                case TensorType.Q4_K: AffineSuperBlock(values, block, bits: 4); break;
                case TensorType.Q5_K: AffineSuperBlock(values, block, bits: 5); break;
                default: Q6_K(values, block); break;
            }
        }
    }

    /// <summary>Q4_0, Q5_0: the value of largest magnitude gets the lowest code, which has no positive twin.</summary>
    private static void Symmetric(ReadOnlySpan<float> values, Span<byte> block, int bits)
    {
        int zero = 1 << (bits - 1);
        float d = Extreme(values) / -zero, inverse = d == 0 ? 0 : 1 / d;
        WriteHalf(block, d);
        for (int i = 0; i < 32; i++) WriteCode(block[2..], i, (int)Math.Min(2 * zero - 1, values[i] * inverse + (zero + 0.5f)), bits);
    }

    /// <summary>Q4_1, Q5_1: codes from the smallest to the largest value.</summary>
    private static void Affine(ReadOnlySpan<float> values, Span<byte> block, int bits)
    {
        int largest = (1 << bits) - 1;
        (float min, float max) = Range(values);
        float d = (max - min) / largest, inverse = d == 0 ? 0 : 1 / d;
        WriteHalf(block, d);
        WriteHalf(block[2..], min);
        for (int i = 0; i < 32; i++) WriteCode(block[4..], i, (int)Math.Min(largest, (values[i] - min) * inverse + 0.5f), bits);
    }

    private static void Q8_0(ReadOnlySpan<float> values, Span<byte> block)
    {
        float d = MathF.Abs(Extreme(values)) / 127, inverse = d == 0 ? 0 : 1 / d;
        WriteHalf(block, d);
        for (int i = 0; i < 32; i++) block[2 + i] = (byte)(sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero);
    }

    /// <summary>Q4_K, Q5_K.</summary>
    private static void AffineSuperBlock(ReadOnlySpan<float> values, Span<byte> block, int bits)
    {
        int largest = (1 << bits) - 1;
        Span<float> scales = stackalloc float[KQuantScales.Count], minima = stackalloc float[KQuantScales.Count];
        float largestScale = 0, largestMinimum = 0;
        for (int sub = 0; sub < KQuantScales.Count; sub++)
        {
            (float min, float max) = Range(values.Slice(sub * 32, 32));
            minima[sub] = Math.Max(0, -min);                         // stored minima are subtracted: they can only lower
            scales[sub] = (max + minima[sub]) / largest;
            largestScale = Math.Max(largestScale, scales[sub]);
            largestMinimum = Math.Max(largestMinimum, minima[sub]);
        }
        float d = WriteHalf(block, largestScale / KQuantScales.Largest), dmin = WriteHalf(block[2..], largestMinimum / KQuantScales.Largest);
        Span<byte> packed = block.Slice(4, KQuantScales.Bytes), high = bits == 5 ? block.Slice(16, 32) : [], nibbles = block[^128..];
        for (int sub = 0; sub < KQuantScales.Count; sub++)
        {
            int scale = Code(scales[sub], d, 0, KQuantScales.Largest), minimum = Code(minima[sub], dmin, 0, KQuantScales.Largest);
            KQuantScales.Set(packed, sub, scale, minimum);
            for (int i = 0; i < 32; i++)
            {
                int q = Code(values[sub * 32 + i] + dmin * minimum, d * scale, 0, largest);
                nibbles[sub / 2 * 32 + i] |= (byte)((q & 15) << sub % 2 * 4);
                if (bits == 5) high[i] |= (byte)(q >> 4 << sub);
            }
        }
    }

    private static void Q6_K(ReadOnlySpan<float> values, Span<byte> block)
    {
        const int SubBlocks = 16, SubBlockLength = 16;
        Span<float> scales = stackalloc float[SubBlocks];
        for (int sub = 0; sub < SubBlocks; sub++) scales[sub] = Extreme(values.Slice(sub * SubBlockLength, SubBlockLength)) / -32;
        float d = WriteHalf(block[208..], Extreme(scales) / -128);
        for (int sub = 0; sub < SubBlocks; sub++)
        {
            int scale = Code(scales[sub], d, -128, 127), half = sub / 8, row = sub % 8 / 2;
            block[192 + sub] = (byte)(sbyte)scale;
            for (int i = 0; i < SubBlockLength; i++)
            {
                int q = Code(values[sub * SubBlockLength + i], d * scale, -32, 31) + 32, column = sub % 2 * SubBlockLength + i;
                block[half * 64 + row % 2 * 32 + column] |= (byte)((q & 15) << row / 2 * 4);
                block[128 + half * 32 + column] |= (byte)(q >> 4 << 2 * row);
            }
        }
    }

    private static int Code(float value, float step, int smallest, int largest) =>
        step == 0 ? 0 : (int)Math.Clamp(MathF.Round(value / step), smallest, largest);

    /// <summary>Puts a code into a block of 32: low four bits into nibble i of the last 16 bytes, a fifth bit into the word before them.</summary>
    private static void WriteCode(Span<byte> codes, int index, int code, int bits)
    {
        codes[^16..][index % 16] |= (byte)((code & 15) << index / 16 * 4);
        if (bits == 5) codes[index / 8] |= (byte)(code >> 4 << index % 8);
    }

    /// <summary>The value of largest magnitude, the first of several.</summary>
    private static float Extreme(ReadOnlySpan<float> values)
    {
        float extreme = 0;
        foreach (float value in values)
            if (MathF.Abs(value) > MathF.Abs(extreme)) extreme = value;
        return extreme;
    }

    private static (float Min, float Max) Range(ReadOnlySpan<float> values)
    {
        (float min, float max) = (values[0], values[0]);
        foreach (float value in values) (min, max) = (value < min ? value : min, value > max ? value : max);
        return (min, max);
    }

    /// <summary>Rounds to nearest even; NaN stays NaN.</summary>
    private static ushort ToBrainFloat(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)(float.IsNaN(value) ? bits >> 16 | 64 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    private static float WriteHalf(Span<byte> destination, float value)
    {
        var rounded = (Half)value;
        BinaryPrimitives.WriteHalfLittleEndian(destination, rounded);
        return (float)rounded;
    }
}
