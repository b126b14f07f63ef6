using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

/// <summary>A model behind the real scheduler, which is driven by hand.</summary>
internal sealed class CpuRig : IDisposable
{
    private readonly CpuModelExecutor _executor;
    private readonly PagedKVCacheManager _cache;
    private readonly RequestQueue _queue = new();
    private readonly SchedulerMetricsCollector _metrics = new(MetricsConfiguration.Default);
    private readonly ContinuousBatchScheduler _scheduler;

    public CpuRig(
        CpuModel model, CpuExecutorOptions? options = null, int maxBatchSize = 8, int chunk = 512, int? context = null, ITokenizer? tokenizer = null,
        Func<CpuModelExecutor, IModelExecutor>? wrap = null, KVCacheConfiguration? cache = null)
    {
        _executor = new CpuModelExecutor(model, options ?? new CpuExecutorOptions { Threads = 1, KVCacheTokens = 4096 });
        _cache = new PagedKVCacheManager(cache ?? _executor.KVCache);
        var prefill = new PrefillConfiguration(PrefillChunkSize: chunk);
        Vocabulary vocabulary = model.Tokenizer.Vocabulary;
        var completion = new CompletionConfiguration(vocabulary.EosId ?? -1) { AdditionalEosTokenIds = vocabulary.EndOfGenerationIds };
        _scheduler = new ContinuousBatchScheduler(
            _queue,
            new BatchManager(_queue, _cache, new BatchConstraints(maxBatchSize, MinBatchSize: 1, MaxSequenceLength: context ?? model.HyperParameters.ContextLength), prefill),
            new CompletionDetector(completion, tokenizer ?? model.Tokenizer),
            new CapacityManager(new CapacityConstraints(MaxBatchSize: 64, MemoryPerSlotBytes: 1)),
            wrap?.Invoke(_executor) ?? _executor,
            _metrics,
            SchedulerConfiguration.Default with { MaxRetries = 0 });
    }

    public static Request NewRequest(int[] prompt, int maxTokens, GenerationOptions? options = null, int sample = 0) =>
        new(RequestId.New(), "", maxTokens, CancellationToken.None) { PromptTokenIds = prompt, Options = options, SampleIndex = sample };

    public void Enqueue(Request request) => _scheduler.EnqueueAsync(request);

    public void Start() => _scheduler.Start();

    public Task StopAsync(TimeSpan timeout) => _scheduler.StopAsync(timeout);

    public void WarmUp() => _executor.WarmUp();

    public void Iterate() => _scheduler.ExecuteIterationAsync().GetAwaiter().GetResult();

    /// <summary>Iterates until all have ended.</summary>
    public void RunDry(params Request[] requests)
    {
        for (int i = 0; requests.Any(request => !request.IsCompleted); i++)
        {
            Assert.That(i, Is.LessThan(20_000), "Requests that never end.");
            Iterate();
        }
    }

    public void Dispose()
    {
        _scheduler.Dispose();
        _queue.Dispose();
        _metrics.Dispose();
        _cache.Dispose();
        _executor.Dispose();
    }
}
