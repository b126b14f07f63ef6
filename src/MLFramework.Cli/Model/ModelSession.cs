using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>A loaded model behind a running scheduler.</summary>
internal sealed class ModelSession : IDisposable
{
    /// <summary>Contexts of newer models are longer than what most conversations need, and their KV cache larger than most machines.</summary>
    public const int LargestDefaultContext = 8192;

    private const int MaxBatchSize = 1;

    private readonly CpuModelExecutor _executor;
    private readonly PagedKVCacheManager _cache;
    private readonly RequestQueue _queue = new();
    private readonly SchedulerMetricsCollector _metrics = new(MetricsConfiguration.Default);
    private readonly ContinuousBatchScheduler _scheduler;

    private ModelSession(CpuModel model, int context, int? threads)
    {
        Model = model;
        Context = context;
        _executor = new CpuModelExecutor(model, new CpuExecutorOptions { Threads = threads, KVCacheTokens = context });
        _cache = new PagedKVCacheManager(_executor.KVCache);
        long cacheBytes = _executor.KVCache.TotalBlocks * _executor.KVCache.BlockSize * _executor.KVCache.BytesPerToken;
        var constraints = new BatchConstraints(MaxBatchSize, cacheBytes, MinBatchSize: 1, MaxSequenceLength: context);
        Vocabulary vocabulary = model.Tokenizer.Vocabulary;
        var completion = new CompletionConfiguration(EosTokenId: vocabulary.EosId ?? -1) { AdditionalEosTokenIds = vocabulary.EndOfGenerationIds };
        _scheduler = new ContinuousBatchScheduler(
            _queue,
            new BatchManager(_queue, _cache, constraints),
            new CompletionDetector(completion, model.Tokenizer),
            new CapacityManager(new CapacityConstraints(MaxBatchSize, cacheBytes, MemoryPerSlotBytes: cacheBytes, MaxConcurrentRequests: MaxBatchSize, MemoryBufferRatio: 0)),
            _executor,
            _metrics,
            SchedulerConfiguration.Default);
        Client = new ContinuousBatchSchedulerClient(_scheduler, SchedulerApiClientConfiguration.Default, NullLogger.Instance);
        _scheduler.Start();
    }

    /// <summary>The model.</summary>
    public CpuModel Model { get; }

    /// <summary>Most tokens of prompt and response together.</summary>
    public int Context { get; }

    /// <summary>Generates.</summary>
    public ContinuousBatchSchedulerClient Client { get; }

    /// <summary>Loads a model and starts a scheduler for it.</summary>
    /// <param name="settings">Which model, and how to run it.</param>
    /// <param name="terminal">Where to show how loading goes on.</param>
    /// <param name="cancellationToken">Ctrl+C.</param>
    /// <exception cref="UsageException">The file cannot be read or used, or the model has no such context.</exception>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static ModelSession Start(ModelSettings settings, Terminal terminal, CancellationToken cancellationToken)
    {
        CpuModel model = ModelLoader.Load(settings.Path, terminal, cancellationToken);
        try
        {
            int limit = model.HyperParameters.ContextLength;
            if (settings.Context > limit)
            {
                throw new UsageException($"--context {settings.Context}: this model sees at most {limit} tokens.");
            }

            return new ModelSession(model, settings.Context ?? Math.Min(limit, LargestDefaultContext), settings.Threads);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Client.Dispose();
        _scheduler.Dispose();
        _queue.Dispose();
        _metrics.Dispose();
        _cache.Dispose();
        _executor.Dispose();
        Model.Dispose();
    }
}
