namespace MLFramework.Serving;

/// <summary>Learns arrival rate and processing time from what happens. Not thread-safe.</summary>
/// <remarks>
/// The rate is arrivals over time, both fading exponentially with age. The processing time is a straight line through
/// (batch size, duration), fitted by least squares with weights that fade by batch.
/// </remarks>
internal sealed class LoadEstimator
{
    private const double RateMemorySeconds = 1;
    private const double BatchMemory = 0.98; // weight of the batch before: the last 50 batches count

    private double _arrivals;
    private double _seconds;
    private double _weight;
    private double _sizeSum;
    private double _squareSum;
    private double _timeSum;
    private double _productSum;

    /// <summary>Arrivals per second; 0 before anything was seen.</summary>
    public double ArrivalsPerSecond => _seconds > 0 ? _arrivals / _seconds : 0;

    /// <summary>Batches seen, faded.</summary>
    public double BatchWeight => _weight;

    public void ObserveArrivals(long count, double seconds)
    {
        double fade = Math.Exp(-seconds / RateMemorySeconds);
        _arrivals = (_arrivals * fade) + count;
        _seconds = (_seconds * fade) + seconds;
    }

    public void ObserveBatch(int size, double seconds)
    {
        _weight = (_weight * BatchMemory) + 1;
        _sizeSum = (_sizeSum * BatchMemory) + size;
        _squareSum = (_squareSum * BatchMemory) + ((double)size * size);
        _timeSum = (_timeSum * BatchMemory) + seconds;
        _productSum = (_productSum * BatchMemory) + (size * seconds);
    }

    /// <summary>Processing time of a batch of n as overhead + n × per request, in seconds; neither is negative.</summary>
    public (double Overhead, double PerRequest) ProcessingTime()
    {
        if (_weight == 0)
        {
            return (0, 0);
        }

        double meanSize = _sizeSum / _weight;
        double meanTime = _timeSum / _weight;
        double variance = (_squareSum / _weight) - (meanSize * meanSize);
        double covariance = (_productSum / _weight) - (meanSize * meanTime);

        // Batches of one size say nothing about the slope: all of the time then counts as overhead.
        double slope = variance > 1e-6 * meanSize * meanSize ? covariance / variance : 0;
        slope = Math.Clamp(slope, 0, meanTime / meanSize); // neither a discount nor an overhead below zero
        return (meanTime - (slope * meanSize), slope);
    }
}
