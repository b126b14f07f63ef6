using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>What to simulate a load on.</summary>
/// <param name="Preset">The model and its machine.</param>
public sealed record class SimulationOptions(ModelPreset Preset)
{
    /// <summary>Longest answer that callers allow, in tokens: what the scheduler is told, who does not know how long an answer will be. Answers known to be longer raise it.</summary>
    /// <value>2,048.</value>
    public int MaxTokens { get; init; } = 2048;

    /// <summary>The same seed gives the same tokens.</summary>
    public ulong Seed { get; init; }

    /// <summary>In which order requests are served.</summary>
    /// <value><see cref="SchedulingOrder.Full"/>.</value>
    public SchedulingOrder Order { get; init; }

    /// <summary>What counts as goodput, and where admission and the sharing of steps aim; null for the preset's.</summary>
    public ServiceObjectives? Objectives { get; init; }

    /// <summary>How waiting requests are ordered.</summary>
    public QueuePolicy Policy { get; init; } = QueuePolicy.Default;

    /// <summary>
    /// Bounds of what may wait; null to refuse what would wait longer than half of the objective for the first token. The other half is for the prompt
    /// itself and for the error of the estimate: without it an overloaded queue would serve everybody a little too late.
    /// </summary>
    public AdmissionLimits? Admission { get; init; }

    /// <summary>
    /// How prompts are computed and reused; null for chunks of 512 tokens and prefixes that stay until their blocks are needed.
    /// </summary>
    public PrefillConfiguration? Prefill { get; init; }

    /// <summary>Told how each request ended, on the simulation's thread; null for nobody.</summary>
    public Action<RequestResult>? RequestEnded { get; init; }

    internal ServiceObjectives EffectiveObjectives => Objectives ?? Preset.Objectives;

    internal PrefillConfiguration EffectivePrefill => Prefill ?? PrefillConfiguration.Default with
    {
        PrefillCacheMaxEntries = int.MaxValue,
        PrefillCacheTtlSeconds = int.MaxValue,
    };

    /// <summary>Only the batch size and the cache bound a batch.</summary>
    internal BatchConstraints BatchConstraints => new(
        Preset.MaxBatchSize,
        MaxMemoryBytes: long.MaxValue,
        MinBatchSize: 1,
        MaxSequenceLength: Preset.Cache.TotalBlocks * Preset.Cache.BlockSize);

    /// <summary>A slot for every request of a batch; its memory is the cache's business.</summary>
    internal CapacityConstraints CapacityConstraints => new(
        Preset.MaxBatchSize, MemoryPerSlotBytes: 0, MaxConcurrentRequests: Preset.MaxBatchSize);

    internal SchedulerConfiguration SchedulerConfiguration => SchedulerConfiguration.Default with
    {
        InterTokenTarget = EffectiveObjectives.MeanInterTokenLatency,
        Admission = Admission ?? AdmissionLimits.Default with { MaxQueueDelay = EffectiveObjectives.TimeToFirstToken / 2 },
    };

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Preset.MaxBatchSize, 1, nameof(ModelPreset.MaxBatchSize));
        if (!Enum.IsDefined(Order))
        {
            throw new ArgumentOutOfRangeException(nameof(Order), Order, "Order must be one of the members of SchedulingOrder.");
        }

        Preset.Cost.Validate();
        Preset.Cache.Validate();
        EffectiveObjectives.Validate();
        Policy.Validate();
        Admission?.Validate();
        Prefill?.Validate();
    }
}
