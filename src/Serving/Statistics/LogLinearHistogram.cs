using System.Numerics;

namespace MLFramework.Serving;

/// <summary>
/// Counts of non-negative integers in bars that are exact below 16 and at most an eighth of their value wide above (the layout of
/// Gil Tene's HdrHistogram). Not thread-safe.
/// </summary>
internal sealed class LogLinearHistogram
{
    private const int SubBits = 3;
    private const int SubCount = 1 << SubBits;

    private readonly long[] _counts = new long[(64 - SubBits) * SubCount];
    private double _sum;

    public void Record(long value)
    {
        _counts[IndexOf(value)]++;
        _sum += value;
    }

    /// <summary>The distribution with its values multiplied by <paramref name="unit"/>.</summary>
    public HistogramSnapshot Snapshot(double unit)
    {
        var buckets = new List<HistogramBucket>();
        for (int i = 0; i < _counts.Length; i++)
        {
            if (_counts[i] > 0)
            {
                buckets.Add(new HistogramBucket(LowerBound(i) * unit, (LowerBound(i + 1) - 1) * unit, _counts[i]));
            }
        }

        return new HistogramSnapshot(buckets, _sum * unit);
    }

    private static int IndexOf(long value)
    {
        int shift = Math.Max(0, BitOperations.Log2((ulong)value) - SubBits);
        return (shift << SubBits) + (int)(value >> shift);
    }

    private static double LowerBound(int index)
    {
        int shift = Math.Max(0, (index >> SubBits) - 1);
        return Math.ScaleB(index - (shift << SubBits), shift);
    }
}
