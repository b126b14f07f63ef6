namespace MLFramework.Cpu;

/// <summary>
/// Raises the scales of a panel by a power of two, so that the largest lies between 1 and 2, and products are lowered by the same. Scales of small weights
/// are subnormal halves, and reading those as floats costs some processors dozens of cycles each (measured on Zen 5: a third of all products' time). Nothing
/// is rounded by it: a half that becomes larger only gains bits.
/// </summary>
internal static unsafe class ScaleLift
{
    /// <summary>Raises scales in place.</summary>
    /// <param name="scales">The first run of scales, all finite.</param>
    /// <param name="length">Scales of a run.</param>
    /// <param name="stride">Bytes from one run to the next.</param>
    /// <param name="runs">Number of runs.</param>
    /// <returns>What products are to be multiplied with: 2^−24 to 1.</returns>
    public static float Raise(byte* scales, int length, long stride, int runs)
    {
        Half largest = default;
        for (int run = 0; run < runs; run++)
            foreach (Half scale in new ReadOnlySpan<Half>(scales + run * stride, length)) largest = Half.MaxMagnitude(largest, scale);
        if (largest == default) return 1;
        int lift = -MathF.ILogB((float)Half.Abs(largest));
        if (lift <= 0) return 1;

        float factor = MathF.ScaleB(1, lift);
        for (int run = 0; run < runs; run++)
            foreach (ref Half scale in new Span<Half>(scales + run * stride, length)) scale = (Half)((float)scale * factor);
        return 1 / factor;
    }
}
