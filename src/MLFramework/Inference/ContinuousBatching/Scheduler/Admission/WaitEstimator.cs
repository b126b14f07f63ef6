namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Estimates how long a new request would wait for its first iteration, from the rate at which the backlog was worked off so far, and how long it
/// would then run. Written by the owner thread, read from any.
/// </summary>
/// <remarks>
/// While slots are free, a request waits for the rest of the run under way and for the prompts in line before its own, at as many tokens an
/// iteration as were seen when prompts were left over. When they are not, requests start when others end: the n-th in line waits n times
/// the mean time between starts, measured only while there was a backlog.
/// </remarks>
internal sealed class WaitEstimator(TimeProvider time)
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
    private long _runStart;
    private double _runSeconds;
    private long _prefillLeft;
    private double? _fullPrefillTokens;
    private double? _fullPrefillSeconds;

    /// <summary>Requests started in an iteration.</summary>
    /// <param name="count">How many, at least one.</param>
    /// <param name="hadBacklog">Whether requests were left waiting when the iteration before was planned.</param>
    /// <param name="timestamp">When.</param>
    public void RecordStarts(int count, bool hadBacklog, long timestamp)
    {
        lock (_lock)
        {
            if (hadBacklog && _lastStart is { } last)
            {
                double gap = time.GetElapsedTime(last, timestamp).TotalSeconds / count;
                double weight = 1 - Math.Pow(1 - StartSmoothing, count);
                _secondsPerStart = Smooth(_secondsPerStart, gap, weight);
            }

            _lastStart = timestamp;
        }
    }

    /// <summary>A run of the model began.</summary>
    /// <param name="timestamp">When.</param>
    /// <param name="expectedSeconds">How long it should take; 0 when the executor does not know, for the mean of those before.</param>
    /// <param name="prefillLeft">Prompt tokens of running requests that are left for later runs.</param>
    public void RecordRunStart(long timestamp, double expectedSeconds, long prefillLeft)
    {
        lock (_lock)
        {
            _runStart = timestamp;
            _runSeconds = expectedSeconds > 0 ? expectedSeconds : _iterationSeconds ?? 0;
            _prefillLeft = prefillLeft;
        }
    }

    /// <summary>An iteration ended.</summary>
    /// <param name="seconds">Its duration.</param>
    /// <param name="prefillTokens">Prompt tokens that it computed.</param>
    /// <param name="hadMore">Whether prompts were left over that it could not compute any more of: it then shows how many an iteration takes.</param>
    public void RecordIteration(double seconds, int prefillTokens, bool hadMore)
    {
        lock (_lock)
        {
            _iterationSeconds = Smooth(_iterationSeconds, seconds, IterationSmoothing);
            if (hadMore && prefillTokens > 0)
            {
                _fullPrefillTokens = Smooth(_fullPrefillTokens, prefillTokens, IterationSmoothing);
                _fullPrefillSeconds = Smooth(_fullPrefillSeconds, seconds, IterationSmoothing);
            }
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
    /// <param name="tokensAhead">Their prompt tokens.</param>
    /// <param name="running">Requests that run.</param>
    /// <param name="hasSlots">Whether all of them, and it, could run beside those.</param>
    /// <returns>Null while nothing is known.</returns>
    public TimeSpan? EstimateWait(int ahead, long tokensAhead, int running, bool hasSlots)
    {
        lock (_lock)
        {
            if (_iterationSeconds is null)
            {
                return null;
            }

            if (hasSlots)
            {
                return TimeSpan.FromSeconds(running == 0 && ahead == 0 ? 0 : RestOfRun() + TimeOfPrompts(_prefillLeft + tokensAhead));
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

    private double RestOfRun() => Math.Max(0, _runSeconds - time.GetElapsedTime(_runStart).TotalSeconds);

    /// <summary>Whole iterations that prompts in line fill before a new one gets its first token of prefill.</summary>
    private double TimeOfPrompts(long tokens) =>
        _fullPrefillTokens is { } perIteration ? Math.Floor(tokens / Math.Max(1, perIteration)) * _fullPrefillSeconds!.Value : 0;

    private static double Smooth(double? old, double value, double weight) => old is { } o ? o + (weight * (value - o)) : value;
}
