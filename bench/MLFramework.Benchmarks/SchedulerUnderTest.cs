using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Benchmarks;

/// <summary>A scheduler with everything that production has: paged cache, prefix index, metrics, telemetry; but a model that costs nothing.</summary>
internal sealed class SchedulerUnderTest : IDisposable
{
    private readonly RequestQueue _queue = new(1024);

    public SchedulerUnderTest(int maxBatchSize, int context)
    {
        int blocks = (int)Math.Min(int.MaxValue / 32, (long)maxBatchSize * ((context / 16) + 2) * 5 / 4);
        var constraints = new BatchConstraints(maxBatchSize, long.MaxValue / 4, 1, context) { MaxTokensPerIteration = maxBatchSize * 256 };
        var prefill = new PrefillConfiguration(maxBatchSize, long.MaxValue / 4, 512);
        Cache = new PagedKVCacheManager(new KVCacheConfiguration(blocks), prefill);
        Collector = new SchedulerMetricsCollector(MetricsConfiguration.Default);
        Scheduler = new ContinuousBatchScheduler(
            _queue,
            new BatchManager(_queue, Cache, constraints, prefill),
            new CompletionDetector(CompletionConfiguration.Default, new NoTokenizer()),
            new CapacityManager(new CapacityConstraints(maxBatchSize, MemoryPerSlotBytes: 1, MaxConcurrentRequests: maxBatchSize)),
            Model,
            Collector,
            new SchedulerConfiguration(EnableAdaptiveBatching: false)
            {
                Admission = new AdmissionLimits(int.MaxValue, long.MaxValue / 4),
                StopTimeout = TimeSpan.Zero,
            });
    }

    public FixedModel Model { get; } = new();

    public PagedKVCacheManager Cache { get; }

    public SchedulerMetricsCollector Collector { get; }

    public ContinuousBatchScheduler Scheduler { get; }

    public static Request NewRequest(int[] prompt, int maxTokens) =>
        new(RequestId.New(), string.Empty, maxTokens, CancellationToken.None) { PromptTokenIds = prompt };

    public void Dispose()
    {
        Scheduler.Dispose();
        _queue.Dispose();
        Cache.Dispose();
        Collector.Dispose();
    }
}
