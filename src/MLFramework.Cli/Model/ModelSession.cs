using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>How much a session does at once.</summary>
/// <param name="MaxConcurrency">Most requests that run together.</param>
/// <param name="KVTokens">Tokens that the KV cache has room for, at least a context; null for what all requests need, within a quarter of the memory.</param>
internal readonly record struct SessionLimits(int MaxConcurrency, int? KVTokens)
{
    /// <summary>One conversation.</summary>
    public static SessionLimits One => new(1, null);
}

/// <summary>A loaded model behind a running scheduler.</summary>
internal sealed class ModelSession : IDisposable
{
    /// <summary>Contexts of newer models are longer than what most conversations need, and their KV cache larger than most machines.</summary>
    public const int LargestDefaultContext = 8192;

    private readonly CpuModelExecutor _executor;
    private readonly RequestQueue _queue = new();
    private readonly SchedulerMetricsCollector _metrics = new(MetricsConfiguration.Default);

    private ModelSession(CpuModel model, int context, ModelSettings settings, SessionLimits limits, Func<IModelExecutor, IModelExecutor>? wrap)
    {
        Model = model;
        Context = context;
        _executor = new CpuModelExecutor(model, new CpuExecutorOptions { Threads = settings.Threads, KVCacheTokens = KVTokens(model.KVBytesPerToken(settings.KVType), context, limits), KVType = settings.KVType });
        int concurrency = limits.MaxConcurrency;

        // As many may start together as run together, and what was computed is kept as long as there is room.
        PrefillConfiguration prefill = PrefillConfiguration.Default with { MaxPrefillBatchSize = concurrency, PrefillCacheMaxEntries = int.MaxValue };
        Cache = new PagedKVCacheManager(_executor.KVCache, prefill);
        long cacheBytes = _executor.KVCache.TotalBlocks * _executor.KVCache.BlockSize * _executor.KVCache.BytesPerToken;
        var constraints = new BatchConstraints(concurrency, cacheBytes, MinBatchSize: 1, MaxSequenceLength: context);
        Vocabulary vocabulary = model.Tokenizer.Vocabulary;
        var completion = new CompletionConfiguration(EosTokenId: vocabulary.EosId ?? -1) { AdditionalEosTokenIds = vocabulary.EndOfGenerationIds };
        Scheduler = new ContinuousBatchScheduler(
            _queue,
            new BatchManager(_queue, Cache, constraints, prefill),
            new CompletionDetector(completion, model.Tokenizer),
            new CapacityManager(new CapacityConstraints(concurrency, cacheBytes, MemoryPerSlotBytes: 0, MaxConcurrentRequests: concurrency, MemoryBufferRatio: 0)),
            wrap?.Invoke(_executor) ?? _executor,
            _metrics,
            Configuration(concurrency));
        Client = new ContinuousBatchSchedulerClient(Scheduler, SchedulerApiClientConfiguration.Default, NullLogger.Instance);
        Scheduler.Start();
    }

    /// <summary>The model.</summary>
    public CpuModel Model { get; }

    /// <summary>Most tokens of prompt and response together.</summary>
    public int Context { get; }

    /// <summary>Runs requests.</summary>
    public ContinuousBatchScheduler Scheduler { get; }

    /// <summary>Keys and values.</summary>
    public PagedKVCacheManager Cache { get; }

    /// <summary>Generates.</summary>
    public ContinuousBatchSchedulerClient Client { get; }

    /// <summary>Loads a model and starts a scheduler for it.</summary>
    /// <param name="settings">Which model, and how.</param>
    /// <param name="limits">How much at once.</param>
    /// <param name="terminal">Where to show how loading goes on; null where the command has a bar of its own.</param>
    /// <param name="cancellationToken">Ctrl+C.</param>
    /// <param name="wrap">Puts something around the executor, for measuring.</param>
    /// <exception cref="UsageException">The file cannot be read or used, the model has no such context, or there is not enough memory.</exception>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static ModelSession Start(
        ModelSettings settings, SessionLimits limits, Terminal? terminal = null, CancellationToken cancellationToken = default, Func<IModelExecutor, IModelExecutor>? wrap = null)
    {
        CpuModel model = ModelLoader.Load(settings.Path, settings.Context ?? LargestDefaultContext, terminal, cancellationToken);
        try
        {
            int limit = model.HyperParameters.ContextLength;
            if (settings.Context > limit)
            {
                throw new UsageException($"--context {settings.Context}: this model sees at most {limit} tokens.");
            }

            int context = settings.Context ?? Math.Min(limit, LargestDefaultContext);
            if (limits.KVTokens < context)
            {
                throw new UsageException($"--kv-tokens {limits.KVTokens}: one request may need the whole context of {context} tokens; allow as many, or lower --context.");
            }

            return new ModelSession(model, context, settings, limits, wrap);
        }
        catch (OutOfMemoryException e)
        {
            model.Dispose();
            throw new UsageException(e.Message, e);
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
        Scheduler.Dispose();
        _queue.Dispose();
        _metrics.Dispose();
        Cache.Dispose();
        _executor.Dispose();
        Model.Dispose();
    }

    /// <summary>Has the kernels compiled before the first request, while nobody waits for it yet.</summary>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public void WarmUp(CancellationToken cancellationToken) => _executor.WarmUp(cancellationToken);

    /// <summary>Finds how the model wants conversations.</summary>
    /// <exception cref="UsageException">In no way that is known.</exception>
    public IChatTemplate LoadChatTemplate()
    {
        try
        {
            return ChatMlTemplate.Load(Model.Metadata, Model.Tokenizer.Vocabulary);
        }
        catch (GgufException e)
        {
            throw new UsageException(e.Message, e);
        }
    }

    /// <summary>Memory is taken as it is used; beyond a quarter of the machine's, requests give way to each other.</summary>
    private static int KVTokens(long bytesPerToken, int context, SessionLimits limits)
    {
        long affordable = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 / bytesPerToken;
        return limits.KVTokens ?? (int)Math.Clamp((long)context * limits.MaxConcurrency, context, Math.Clamp(affordable, context, int.MaxValue));
    }

    /// <summary>A job has nobody who watches streams: prompts are computed as they come.</summary>
    private static SchedulerConfiguration Configuration(int concurrency) => SchedulerConfiguration.Default with
    {
        EnableAdaptiveBatching = concurrency == 1,
        Admission = AdmissionLimits.Default with { MaxQueuedTokens = long.MaxValue },
    };
}
