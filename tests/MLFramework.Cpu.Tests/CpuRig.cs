using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Cpu.Tests;

/// <summary>A model behind the real scheduler, which is driven by hand; an iteration takes a millisecond, and its invariants are checked.</summary>
internal sealed class CpuRig : IDisposable
{
    private readonly CpuModelExecutor _executor;
    private readonly PagedKVCacheManager _cache;
    private readonly VirtualTimeProvider _clock = new();
    private readonly RequestQueue _queue;
    private readonly SchedulerMetricsCollector _metrics;

    public CpuRig(
        CpuModel model, CpuExecutorOptions? options = null, int maxBatchSize = 8, int chunk = 512, int? context = null, ITokenizer? tokenizer = null,
        Func<CpuModelExecutor, IModelExecutor>? wrap = null, KVCacheConfiguration? cache = null, LogitsJournal? journal = null,
        long leastSharedWork = ForwardPass.LeastSharedWork, int? tokensPerIteration = null)
    {
        _executor = new CpuModelExecutor(
            model, options ?? new CpuExecutorOptions { Threads = 1, KVCacheTokens = 4096 }, sampler => journal?.Before(sampler) ?? sampler, leastSharedWork);
        _queue = new RequestQueue(timeProvider: _clock);
        _metrics = new SchedulerMetricsCollector(MetricsConfiguration.Default, _clock);
        _cache = new PagedKVCacheManager(cache ?? _executor.KVCache, null, _clock);
        var prefill = new PrefillConfiguration(PrefillChunkSize: chunk);
        Vocabulary vocabulary = model.Tokenizer.Vocabulary;
        var completion = new CompletionConfiguration(vocabulary.EosId ?? -1) { AdditionalEosTokenIds = vocabulary.EndOfGenerationIds };
        var constraints = new BatchConstraints(maxBatchSize, MinBatchSize: 1, MaxSequenceLength: context ?? model.HyperParameters.ContextLength) { MaxTokensPerIteration = tokensPerIteration };
        Scheduler = new ContinuousBatchScheduler(
            _queue,
            new BatchManager(_queue, _cache, constraints, prefill, _clock),
            new CompletionDetector(completion, tokenizer ?? model.Tokenizer),
            new CapacityManager(new CapacityConstraints(MaxBatchSize: 64, MemoryPerSlotBytes: 1), null, _clock),
            wrap?.Invoke(_executor) ?? journal?.Over(_executor) ?? (IModelExecutor)_executor,
            _metrics,
            SchedulerConfiguration.Default with { MaxRetries = 0, EnableAdaptiveBatching = false })
        {
            AfterIteration = () => SchedulerInvariants.Check(Scheduler!),
        };
    }

    public ContinuousBatchScheduler Scheduler { get; }

    /// <summary>KV blocks that requests hold.</summary>
    public int ReferencedBlocks => _cache.ReferencedBlocks;

    public static Request NewRequest(
        int[] prompt, int maxTokens, GenerationOptions? options = null, int sample = 0, Request? firstSample = null, Priority priority = Priority.Normal, CancellationToken token = default) =>
        new(RequestId.New(), "", maxTokens, token, priority) { PromptTokenIds = prompt, Options = options, SampleIndex = sample, FirstSample = firstSample };

    public void Enqueue(Request request) => Scheduler.EnqueueAsync(request, request.Priority);

    public void Iterate()
    {
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Scheduler.ExecuteIterationAsync().GetAwaiter().GetResult();
    }

    public void WarmUp() => _executor.WarmUp();

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
        Scheduler.Dispose();
        _queue.Dispose();
        _metrics.Dispose();
        _cache.Dispose();
        _executor.Dispose();
    }
}
