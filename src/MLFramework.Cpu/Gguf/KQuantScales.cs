namespace MLFramework.Cpu;

/// <summary>
/// The twelve bytes in front of a Q4_K or Q5_K super-block: eight 6-bit scales and eight 6-bit minima. The first four of each fill the low six bits
/// of bytes 0–3 and 4–7; of the last four, the low halves share bytes 8–11 and the upper two bits sit above those of the first four.
/// </summary>
internal static class KQuantScales
{
    public const int Count = 8, Bytes = 12, Largest = 63;

    public static (int Scale, int Minimum) Get(ReadOnlySpan<byte> packed, int index) => index < 4
        ? (packed[index] & 63, packed[index + 4] & 63)
        : ((packed[index + 4] & 15) | (packed[index - 4] >> 6 << 4), (packed[index + 4] >> 4) | (packed[index] >> 6 << 4));

    /// <summary>Writes one pair into bytes that were zero before the first.</summary>
    public static void Set(Span<byte> packed, int index, int scale, int minimum)
    {
        if (index < 4)
        {
            packed[index] |= (byte)scale;
            packed[index + 4] |= (byte)minimum;
        }
        else
        {
            packed[index + 4] |= (byte)((scale & 15) | (minimum & 15) << 4);
            packed[index - 4] |= (byte)(scale >> 4 << 6);
            packed[index] |= (byte)(minimum >> 4 << 6);
        }
    }
}
