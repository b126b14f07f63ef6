using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>How long one forward pass takes. Five constants, all in seconds and not negative.</summary>
/// <param name="PerStep">Once per step: launches, synchronization between devices or threads, sampling.</param>
/// <param name="WeightRead">Reading all weights once, whatever the number of tokens.</param>
/// <param name="PerToken">Multiplying one token by all weights.</param>
/// <param name="PerKVToken">Reading the keys and values of one cached token.</param>
/// <param name="PerAttentionPair">Computing the attention of one token to one position.</param>
/// <remarks>
/// <para>
/// A step of <c>n</c> tokens costs
/// <c>PerStep + max(WeightRead, n · PerToken) + Σ over requests of max(context · PerKVToken, pairs · PerAttentionPair)</c>,
/// where <c>context</c> is one past a request's last position and <c>pairs</c> the sum over its tokens of the positions that each
/// attends to. That is: fixed, per token and per KV token, each of the latter two bounded by memory or by arithmetic, whichever
/// is slower (the roofline of Williams, Waterman and Patterson, CACM 2009). It says why batching pays: up to <c>WeightRead / PerToken</c>
/// tokens a step costs the same.
/// </para>
/// <para>Left out: the output layer's saving on tokens that are not sampled, and overlap of attention with the rest.</para>
/// </remarks>
public sealed record class CostModel(double PerStep, double WeightRead, double PerToken, double PerKVToken, double PerAttentionPair)
{
    /// <summary>Duration of the step that computes a batch.</summary>
    /// <param name="batch">A batch with its schedule.</param>
    /// <exception cref="ArgumentNullException"><paramref name="batch"/> is null.</exception>
    public TimeSpan StepDuration(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        double attention = 0;
        for (int i = 0; i < batch.Schedule.Count; i++)
        {
            ScheduledTokens work = batch.Schedule[i];
            attention += Attention(work.Start, work.Count);
        }

        return StepDuration(batch.TokenCount, attention);
    }

    /// <summary>Duration of a step in which one request computes <paramref name="count"/> tokens after <paramref name="start"/> cached ones.</summary>
    /// <param name="start">Positions before the first token.</param>
    /// <param name="count">Tokens, at least 1.</param>
    public TimeSpan StepDuration(int start, int count) => StepDuration(count, Attention(start, count));

    /// <summary>Checks every constant.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A constant is negative or not a number, or a step of one token would take no time.</exception>
    public void Validate()
    {
        Check(PerStep, nameof(PerStep));
        Check(WeightRead, nameof(WeightRead));
        Check(PerToken, nameof(PerToken));
        Check(PerKVToken, nameof(PerKVToken));
        Check(PerAttentionPair, nameof(PerAttentionPair));
        if (StepDuration(0, 1) <= TimeSpan.Zero)
        {
            throw new ArgumentOutOfRangeException(nameof(PerStep), PerStep, "A step must take at least 100 ns, or virtual time would stand still.");
        }
    }

    private TimeSpan StepDuration(int tokens, double attention) =>
        TimeSpan.FromSeconds(PerStep + Math.Max(WeightRead, tokens * PerToken) + attention);

    private double Attention(int start, int count)
    {
        double context = start + count;
        double pairs = count * (start + ((count + 1) / 2.0));
        return Math.Max(context * PerKVToken, pairs * PerAttentionPair);
    }

    private static void Check(double seconds, string name)
    {
        if (!(seconds >= 0 && double.IsFinite(seconds)))
        {
            throw new ArgumentOutOfRangeException(name, seconds, $"{name} must be a finite number of seconds, 0 or more.");
        }
    }
}
