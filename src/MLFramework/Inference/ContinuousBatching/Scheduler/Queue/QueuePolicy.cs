namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How waiting requests are ordered.</summary>
/// <remarks>
/// Within a class a tenant that was served more than others waits while they have work, however long: raise its share if that is not meant. One tenant's own
/// requests, and the classes among each other, are lifted by aging. Fairness between tenants is that of the virtual token counter: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024.
/// </remarks>
public record class QueuePolicy
{
    /// <summary>The defaults.</summary>
    public static readonly QueuePolicy Default = new();

    /// <summary>Waiting this long counts as one class of priority.</summary>
    /// <value>30 seconds.</value>
    public TimeSpan AgingInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Service charged to a tenant per prompt token computed (w_p of the paper).</summary>
    /// <value>1.</value>
    public double PromptTokenWeight { get; init; } = 1;

    /// <summary>Service charged to a tenant per token generated (w_q of the paper).</summary>
    /// <value>2.</value>
    public double GeneratedTokenWeight { get; init; } = 2;

    /// <summary>Shares of tenants that are to get more or less than others; a tenant not named has share 1.</summary>
    public IReadOnlyDictionary<string, double> TenantShares { get; init; } = new Dictionary<string, double>();

    /// <summary>Bytes of KV cache that a token is taken to need, where the queue is asked for requests by memory.</summary>
    /// <value>128 KiB: 32 layers of 8 heads of 128, keys and values in 16 bits.</value>
    public long EstimatedBytesPerToken { get; init; } = 128 * 1024;

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An interval, weight or share is not positive.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(AgingInterval, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(EstimatedBytesPerToken, 1);
        ThrowIfNotPositive(PromptTokenWeight, nameof(PromptTokenWeight));
        ThrowIfNotPositive(GeneratedTokenWeight, nameof(GeneratedTokenWeight));
        foreach (double share in TenantShares.Values)
        {
            ThrowIfNotPositive(share, nameof(TenantShares));
        }
    }

    private static void ThrowIfNotPositive(double value, string name)
    {
        if (!(value > 0 && double.IsFinite(value)))
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be a positive number.");
        }
    }
}
