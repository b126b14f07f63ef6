namespace MLFramework.Compare;

/// <summary>
/// Times of the same step in both engines, taken in turn. The machine's speed drifts within seconds, and neighbours in time drift together: what is compared
/// is each step with its own neighbour, and of these ratios the median.
/// </summary>
internal sealed class PairedTimes
{
    private readonly List<(double Own, double Peer)> _seconds = [];

    /// <summary>Number of pairs.</summary>
    public int Count => _seconds.Count;

    /// <summary>Median over the pairs of the peer's time over our own: how many times as fast we are. The larger the better for us.</summary>
    public double MedianRatio => Median([.. _seconds.Select(pair => pair.Peer / pair.Own)]);

    /// <summary>Our median time in seconds.</summary>
    public double OwnMedian => Median([.. _seconds.Select(pair => pair.Own)]);

    /// <summary>Our best time in seconds.</summary>
    public double OwnBest => _seconds.Min(pair => pair.Own);

    /// <summary>The peer's median time in seconds.</summary>
    public double PeerMedian => Median([.. _seconds.Select(pair => pair.Peer)]);

    /// <summary>The peer's best time in seconds.</summary>
    public double PeerBest => _seconds.Min(pair => pair.Peer);

    /// <summary>Adds a pair of times, in seconds, both positive.</summary>
    public void Add(double own, double peer)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(own);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(peer);
        _seconds.Add((own, peer));
    }

    /// <summary>The middle of some values, or the mean of the two in the middle.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    internal static double Median(double[] values)
    {
        if (values.Length == 0) throw new ArgumentException("Of no values there is no median.", nameof(values));
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }
}
