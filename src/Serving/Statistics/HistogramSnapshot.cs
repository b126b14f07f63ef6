namespace MLFramework.Serving;

/// <summary>A distribution as it was at one moment.</summary>
public sealed class HistogramSnapshot
{
    internal HistogramSnapshot(IReadOnlyList<HistogramBucket> buckets, double sum)
    {
        Buckets = buckets;
        Count = buckets.Sum(bucket => bucket.Count);
        Sum = sum;
    }

    /// <summary>A distribution without values.</summary>
    public static HistogramSnapshot Empty { get; } = new([], 0);

    /// <summary>The bars that have values, in ascending order.</summary>
    public IReadOnlyList<HistogramBucket> Buckets { get; }

    /// <summary>How many values there are.</summary>
    public long Count { get; }

    /// <summary>The sum of the values.</summary>
    public double Sum { get; }

    /// <summary>The mean of the values, or 0 without any.</summary>
    public double Mean => Count == 0 ? 0 : Sum / Count;

    /// <summary>The value below or at which a share of all values lies, linear within its bar; 0 without values.</summary>
    /// <param name="q">The share, 0–1; 0.99 is the 99th percentile.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="q"/> is outside 0–1.</exception>
    public double Quantile(double q)
    {
        if (q is not (>= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(q), q, "A quantile lies between 0 and 1.");
        }

        double rank = q * Count;
        long below = 0;
        foreach (HistogramBucket bucket in Buckets)
        {
            if (below + bucket.Count >= rank)
            {
                return bucket.LowerBound + ((bucket.UpperBound - bucket.LowerBound) * (rank - below) / bucket.Count);
            }

            below += bucket.Count;
        }

        return 0;
    }
}
