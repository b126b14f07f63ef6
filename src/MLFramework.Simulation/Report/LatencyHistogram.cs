using System.Numerics;

namespace MLFramework.Simulation;

/// <summary>
/// Counts durations in buckets that are exact below 256 ticks and 1/128 of their value wide above, so that a quantile is read within
/// 0.4 % whatever the number of samples. Recording is a few instructions; memory is 57 kB. Not thread-safe.
/// </summary>
/// <remarks>The layout of Gil Tene's HdrHistogram, with 128 buckets to the octave. A tick is 100 ns.</remarks>
public sealed class LatencyHistogram
{
    private const int SubBucketBits = 7;
    private const int SubBuckets = 1 << SubBucketBits;
    private const int Octaves = 63 - SubBucketBits;

    private readonly long[] _counts = new long[(Octaves + 1) * SubBuckets];
    private double _sumTicks;
    private long _maxTicks;

    /// <summary>Samples recorded.</summary>
    public long Count { get; private set; }

    /// <summary>Adds one sample, not negative.</summary>
    public void Record(TimeSpan duration)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(duration, TimeSpan.Zero);
        long ticks = duration.Ticks;
        _counts[BucketOf(ticks)]++;
        Count++;
        _sumTicks += ticks;
        _maxTicks = Math.Max(_maxTicks, ticks);
    }

    /// <summary>The sample of rank <c>⌈quantile · Count⌉</c> (nearest rank), within 0.4 %.</summary>
    /// <param name="quantile">In (0, 1].</param>
    /// <exception cref="InvalidOperationException">There are no samples.</exception>
    public TimeSpan Quantile(double quantile)
    {
        if (Count == 0)
        {
            throw new InvalidOperationException("No samples have no quantiles.");
        }

        long rank = Math.Clamp((long)Math.Ceiling(quantile * Count), 1, Count);
        int bucket = 0;
        for (long seen = _counts[0]; seen < rank; seen += _counts[bucket])
        {
            bucket++;
        }

        return TimeSpan.FromTicks(Math.Min(MiddleOf(bucket), _maxTicks));
    }

    /// <summary>Mean, quantiles and maximum; null when there are no samples.</summary>
    public LatencySummary? Summarize() => Count == 0 ? null : new LatencySummary(
        Count,
        _sumTicks / Count / TimeSpan.TicksPerMillisecond,
        Quantile(0.50).TotalMilliseconds,
        Quantile(0.90).TotalMilliseconds,
        Quantile(0.95).TotalMilliseconds,
        Quantile(0.99).TotalMilliseconds,
        TimeSpan.FromTicks(_maxTicks).TotalMilliseconds);

    private static int BucketOf(long ticks)
    {
        // Values of k significant bits share an octave: the top 8 bits select the bucket, the rest is the bucket's width.
        int shift = Math.Max(0, BitOperations.Log2((ulong)ticks) - SubBucketBits);
        return (shift << SubBucketBits) + (int)(ticks >> shift);
    }

    private static long MiddleOf(int bucket)
    {
        int shift = Math.Max(0, (bucket >> SubBucketBits) - 1);
        long low = (long)(bucket - (shift << SubBucketBits)) << shift;
        return low + ((1L << shift) >> 1);
    }
}
