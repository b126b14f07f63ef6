namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What the loop asks of one plan.</summary>
/// <param name="Governor">Says how much prefill may run beside decodes; null for no limit but the fixed ones.</param>
/// <param name="IsolationGroup">Plan only sequences of this isolation group and admit nobody; 0 for a normal iteration.</param>
internal readonly record struct IterationLimits(PrefillGovernor? Governor, int IsolationGroup)
{
    /// <summary>Only the fixed limits hold.</summary>
    public static readonly IterationLimits None = new(null, 0);
}
