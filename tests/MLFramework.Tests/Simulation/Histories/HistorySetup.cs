using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Simulation.Histories;

/// <summary>The configuration of one history, drawn from its seed: small pools and tight limits, so that everything runs out.</summary>
internal sealed record HistorySetup
{
    public required BatchConstraints Constraints { get; init; }

    public required PrefillConfiguration Prefill { get; init; }

    public required KVCacheConfiguration Cache { get; init; }

    public required bool IsPaged { get; init; }

    public required SchedulerConfiguration Scheduler { get; init; }

    public required CompletionConfiguration Completion { get; init; }

    public required CapacityConstraints Capacity { get; init; }

    public required QueuePolicy Policy { get; init; }

    public required int EosOneIn { get; init; }

    public required FaultRates Faults { get; init; }

    public required int Clients { get; init; }

    public required int RequestsPerClient { get; init; }

    public required int MeanPauseMs { get; init; }

    public static HistorySetup Draw(HistoryRandom random)
    {
        int maxBatch = random.Next(1, 12);
        int blockSize = random.Pick(1, 4, 16);
        int context = random.Next(24, 160);
        bool tinyPool = random.Chance(0.6);
        int blocks = tinyPool ? random.Next(4, 24) : random.Next(64, 400);
        return new HistorySetup
        {
            Constraints = new BatchConstraints(maxBatch, random.Chance(0.2) ? random.Next(2_000, 20_000) : long.MaxValue / 4, random.Next(1, maxBatch), context)
            {
                MaxTokensPerIteration = random.Chance(0.7) ? random.Next(maxBatch, maxBatch + 64) : null,
            },
            Prefill = new PrefillConfiguration(
                random.Next(1, 4), random.Chance(0.2) ? random.Next(64, 4096) : long.MaxValue / 4, random.Next(1, 64), random.Chance(0.8), random.Next(0, 12), random.Pick(0, 1, 300)),
            Cache = new KVCacheConfiguration(blocks, blockSize, 16),
            IsPaged = random.Chance(0.85),
            Scheduler = new SchedulerConfiguration(
                IterationTimeoutMs: 200,
                MaxIdleIterations: random.Next(0, 5),
                MinIterationsPerSecond: random.Pick(10, 30, 100),
                EnableAdaptiveBatching: random.Chance(0.7),
                WarmupIterations: random.Next(0, 5))
            {
                MaxRetries = random.Next(0, 3),
                Admission = new AdmissionLimits(
                    random.Pick(2, 10, 1000), random.Pick(100, 2_000, 1_000_000), random.Chance(0.2) ? TimeSpan.FromSeconds(random.Next(1, 5)) : null),
                StopTimeout = TimeSpan.FromSeconds(random.Next(1, 30)),
            },
            Completion = new CompletionConfiguration(
                StopStrings: random.Chance(0.2) ? ["ab"] : null,
                MaxResponseLength: random.Chance(0.2) ? random.Next(1, 20) : null,
                EnableEarlyStopping: random.Chance(0.2)),
            Capacity = new CapacityConstraints(
                MaxBatchSize: random.Next(1, 16), MaxMemoryBytes: 1_000, MemoryPerSlotBytes: random.Pick(0, 50, 200), MaxConcurrentRequests: random.Next(1, 16))
            {
                MemoryPerTokenBytes = random.Pick(0, 1, 5),
            },
            Policy = new QueuePolicy
            {
                AgingInterval = TimeSpan.FromMilliseconds(random.Pick(20, 200, 5_000)),
                TenantShares = random.Chance(0.3) ? new Dictionary<string, double> { ["a"] = 3 } : new Dictionary<string, double>(),
            },
            EosOneIn = random.Pick(0, 5, 30),
            Faults = FaultRates.Draw(random),
            Clients = random.Next(1, 6),
            RequestsPerClient = random.Next(1, 12),
            MeanPauseMs = random.Pick(0, 5, 50, 400),
        };
    }
}
