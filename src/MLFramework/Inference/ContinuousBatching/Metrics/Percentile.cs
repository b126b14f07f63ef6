namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Percentiles by linear interpolation between closest ranks (Hyndman and Fan's definition 7, 1996; the default of NumPy and R).</summary>
internal static class Percentile
{
    /// <param name="sorted">The samples, ascending.</param>
    /// <param name="percent">Which percentile, 0–100.</param>
    /// <returns>The percentile; 0 of no samples.</returns>
    public static double OfSorted(ReadOnlySpan<double> sorted, double percent)
    {
        if (sorted.IsEmpty)
        {
            return 0;
        }

        double rank = percent / 100 * (sorted.Length - 1);
        int below = (int)rank;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((rank - below) * (sorted[above] - sorted[below]));
    }
}
