namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Estimates how long a new request would wait for its first iteration, from the rate at which the backlog was worked off so far, and how long it
/// would then run. Written by the owner thread, read from any.
/// </summary>
/// <remarks>
/// With a backlog, requests start when others end, so the wait of the n-th in line is n times the mean time between starts, measured
/// only while there was a backlog. Without one, a request waits for the iteration that is running.
/// </remarks>
internal sealed class WaitEstimator
{
    /// <summary>Weight of the newest start; the estimate remembers about the last 32.</summary>
    private const double StartSmoothing = 1.0 / 32;

    private const double IterationSmoothing = 1.0 / 16;

    private readonly Lock _lock = new();
    private double? _secondsPerStart;
    private double? _iterationSeconds;
    private double? _serviceSeconds;
    private double? _secondsPerToken;
    private long? _lastStart;

    /// <summary>Requests started in an iteration.</summary>
    /// <param name="count">How many, at least one.</param>
    /// <param name="hadBacklog">Whether requests were left waiting when the iteration before was planned.</param>
    /// <param name="timestamp">When.</param>
    /// <param name="frequency">Timestamps per second.</param>
    public void RecordStarts(int count, bool hadBacklog, long timestamp, long frequency)
    {
        lock (_lock)
        {
            if (hadBacklog && _lastStart is { } last)
            {
                double gap = (timestamp - last) / (double)frequency / count;
                double weight = 1 - Math.Pow(1 - StartSmoothing, count);
                _secondsPerStart = Smooth(_secondsPerStart, gap, weight);
            }

            _lastStart = timestamp;
        }
    }

    /// <summary>An iteration ended.</summary>
    public void RecordIteration(double seconds)
    {
        lock (_lock)
        {
            _iterationSeconds = Smooth(_iterationSeconds, seconds, IterationSmoothing);
        }
    }

    /// <summary>A request that ran ended.</summary>
    public void RecordService(double seconds, int tokens)
    {
        lock (_lock)
        {
            _serviceSeconds = Smooth(_serviceSeconds, seconds, StartSmoothing);
            if (tokens > 0)
            {
                _secondsPerToken = Smooth(_secondsPerToken, seconds / tokens, StartSmoothing);
            }
        }
    }

    /// <summary>The wait of a new request.</summary>
    /// <param name="ahead">Requests that wait ahead of it.</param>
    /// <param name="running">Requests that run.</param>
    /// <param name="canStart">Whether it could start at once if nobody waited.</param>
    /// <returns>Null while nothing is known.</returns>
    public TimeSpan? EstimateWait(int ahead, int running, bool canStart)
    {
        lock (_lock)
        {
            if (_iterationSeconds is not { } iteration)
            {
                return null;
            }

            if (ahead == 0 && canStart)
            {
                return TimeSpan.FromSeconds(running == 0 ? 0 : iteration / 2);
            }

            double? perStart = _secondsPerStart ?? (_serviceSeconds / Math.Max(1, running));
            return perStart is { } seconds ? TimeSpan.FromSeconds((ahead + 1) * seconds) : null;
        }
    }

    /// <summary>How long a response of so many tokens would take once it runs; null while nothing is known.</summary>
    public TimeSpan? EstimateService(int tokens)
    {
        lock (_lock)
        {
            return _secondsPerToken is { } seconds ? TimeSpan.FromSeconds(tokens * seconds) : null;
        }
    }

    private static double Smooth(double? old, double value, double weight) => old is { } o ? o + (weight * (value - o)) : value;
}
