using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary>Adds up what came of prompts.</summary>
internal sealed class JobTally
{
    private readonly LatencyHistogram _timeToFirstToken = new();
    private readonly SortedDictionary<string, long> _reasons = new(StringComparer.Ordinal), _errors = new(StringComparer.Ordinal);
    private long _ended, _failed, _promptTokens, _generatedTokens, _preemptions;

    /// <summary>Prompts that have ended.</summary>
    public long Ended => _ended;

    /// <summary>Of these, prompts that failed.</summary>
    public long Failed => _failed;

    /// <summary>Tokens that they generated.</summary>
    public long GeneratedTokens => _generatedTokens;

    /// <summary>Takes one in.</summary>
    public void Add(JobOutcome outcome)
    {
        _ended++;
        if (outcome.ErrorType is { } error)
        {
            _failed++;
            _errors[error] = _errors.GetValueOrDefault(error) + 1;
        }

        if (outcome.Result is not { } result)
        {
            return;
        }

        _promptTokens += result.PromptTokens;
        _generatedTokens += result.TokensGenerated;
        _preemptions += result.Preemptions;
        _reasons[$"{result.Reason}"] = _reasons.GetValueOrDefault($"{result.Reason}") + 1;
        if (result.TimeToFirstToken is { } first)
        {
            _timeToFirstToken.Record(first);
        }
    }

    /// <summary>Says what it all came to.</summary>
    /// <param name="plan">What there was to do.</param>
    /// <param name="meter">What the steps of the model were like; null if there were none.</param>
    /// <param name="session">Scheduler and cache; null if nothing ran.</param>
    /// <param name="elapsed">From the first prompt to the last result.</param>
    /// <param name="concurrency">Most requests at once.</param>
    public JobSummary Summarize(JobPlan plan, JobMeter? meter, ModelSession? session, TimeSpan elapsed, int concurrency)
    {
        double PerSecond(long count) => elapsed > TimeSpan.Zero ? count / elapsed.TotalSeconds : 0;
        long steps = meter?.Steps ?? 0, queried = session?.Cache.QueriedTokens ?? 0;
        double meanBatch = steps > 0 ? (double)meter!.Participations / steps : 0;
        return new JobSummary(
            plan.Count, plan.Finished.Count, _ended, plan.Finished.Failed + _failed, elapsed.TotalSeconds, _promptTokens, _generatedTokens,
            PerSecond(_ended), PerSecond(_promptTokens), PerSecond(_generatedTokens), _timeToFirstToken.Summarize(), meter?.InterToken.Summarize(),
            steps, meanBatch, meanBatch / concurrency, queried > 0 ? (double)session!.Cache.HitTokens / queried : 0, _preemptions, _reasons, _errors);
    }
}
