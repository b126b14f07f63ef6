using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary>What <c>mlf simulate</c> was asked; null where the preset or the load decides.</summary>
internal sealed record class SimulateSettings
{
    public FileInfo? Trace { get; init; }

    public ArrivalProcess Process { get; init; }

    public double? Rate { get; init; }

    public int? Requests { get; init; }

    public double? Burstiness { get; init; }

    public LengthDistribution PromptTokens { get; init; } = LengthDistribution.ConversationPrompts;

    public LengthDistribution OutputTokens { get; init; } = LengthDistribution.ConversationAnswers;

    public int? Tenants { get; init; }

    public int? HeavyTenant { get; init; }

    public int? SharedPrefix { get; init; }

    public int[]? Priorities { get; init; }

    public double Speed { get; init; } = 1;

    public ulong Seed { get; init; }

    public required ModelPreset Preset { get; init; }

    public SchedulingOrder Order { get; init; }

    public TimeSpan? SloTimeToFirstToken { get; init; }

    public TimeSpan? SloInterToken { get; init; }

    public TimeSpan? SloInterTokenP99 { get; init; }

    public TimeSpan? MaxQueueDelay { get; init; }

    public int? MaxBatch { get; init; }

    public int? KVBlocks { get; init; }

    public bool Json { get; init; }
}
