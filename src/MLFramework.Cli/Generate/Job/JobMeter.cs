using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary>Looks at every step of the model: how full the batches are, and how long each request waits from one token to the next.</summary>
/// <param name="inner">Runs the model.</param>
/// <param name="time">Clock.</param>
/// <remarks>Belongs to the scheduler's thread until all requests have ended.</remarks>
internal sealed class JobMeter(IModelExecutor inner, TimeProvider time) : IModelExecutor
{
    private readonly Dictionary<Request, long> _lastToken = [];
    private int _sweepAt = 1024;

    /// <inheritdoc/>
    public string? ModelName => inner.ModelName;

    /// <inheritdoc/>
    public bool SupportsGrammar => inner.SupportsGrammar;

    /// <summary>Steps of the model.</summary>
    public long Steps { get; private set; }

    /// <summary>Requests over all steps.</summary>
    public long Participations { get; private set; }

    /// <summary>Time from one token of a request to its next (ITL).</summary>
    public LatencyHistogram InterToken { get; } = new();

    /// <inheritdoc/>
    public TimeSpan EstimateDuration(Batch batch) => inner.EstimateDuration(batch);

    /// <inheritdoc/>
    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        BatchOutput output = await inner.ExecuteBatchAsync(batch, cancellationToken);
        long now = time.GetTimestamp();
        Steps++;
        Participations += batch.Size;
        foreach (ScheduledTokens scheduled in batch.Schedule)
        {
            if (!scheduled.ProducesToken)
            {
                continue;
            }

            if (_lastToken.TryGetValue(scheduled.Request, out long last))
            {
                InterToken.Record(time.GetElapsedTime(last, now));
            }

            _lastToken[scheduled.Request] = now;
        }

        Sweep();
        return output;
    }

    /// <summary>Forgets requests that have ended, now and then.</summary>
    private void Sweep()
    {
        if (_lastToken.Count < _sweepAt)
        {
            return;
        }

        foreach (Request request in _lastToken.Keys)
        {
            if (request.IsCompleted)
            {
                _lastToken.Remove(request);
            }
        }

        _sweepAt = Math.Max(1024, 2 * _lastToken.Count);
    }
}
