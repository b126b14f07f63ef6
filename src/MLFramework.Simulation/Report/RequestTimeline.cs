namespace MLFramework.Simulation;

/// <summary>What is measured of one request while it is alive. Times are since the start of the simulation.</summary>
internal sealed class RequestTimeline(TimeSpan arrived, int promptTokens, int tenant)
{
    public TimeSpan Arrived => arrived;

    public int PromptTokens => promptTokens;

    /// <summary>Index of the tenant in the <see cref="FairnessMeter"/>.</summary>
    public int Tenant => tenant;

    /// <summary>What the scheduler estimated, when it arrived, that it would wait; null when it could not tell.</summary>
    public TimeSpan? EstimatedWait { get; set; }

    /// <summary>When it was first in a batch; null while it waits.</summary>
    public TimeSpan? Started { get; set; }

    /// <summary>Prompt positions computed or found in the cache; what is computed again after a preemption is no new service.</summary>
    public int PromptServed { get; set; }

    public int Tokens { get; private set; }

    public TimeSpan FirstToken { get; private set; }

    public TimeSpan LastToken { get; private set; }

    /// <summary>Gaps between tokens longer than the objective for the 99th percentile.</summary>
    public int SlowGaps { get; set; }

    public TimeSpan TimeToFirstToken => FirstToken - Arrived;

    /// <summary>Mean time between tokens; null with fewer than two.</summary>
    public TimeSpan? MeanGap => Tokens < 2 ? null : (LastToken - FirstToken) / (Tokens - 1);

    /// <summary>A token was generated.</summary>
    /// <returns>The time since the token before; null for the first.</returns>
    public TimeSpan? AddToken(TimeSpan at)
    {
        TimeSpan? gap = Tokens == 0 ? null : at - LastToken;
        if (Tokens++ == 0)
        {
            FirstToken = at;
        }

        LastToken = at;
        return gap;
    }
}
