using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>
/// A model behind the real scheduler, driven step by step with every run of the executor timed. Steps of several benchmarks, or of another engine, can be
/// taken in turn: machines change their speed from one second to the next. Not thread-safe.
/// </summary>
/// <remarks>Prompts are random tokens, a function of their number: two benchmarks see the same.</remarks>
public sealed class EngineBenchmark : IDisposable
{
    private readonly int _vocabularySize, _maxBatchSize, _maxLength, _maxPrompt;
    private readonly CpuModelExecutor _executor;
    private readonly TimedExecutor _timed;
    private readonly PagedKVCacheManager _cache;
    private readonly RequestQueue _queue = new();
    private readonly SchedulerMetricsCollector _metrics = new(MetricsConfiguration.Default);
    private readonly ContinuousBatchScheduler _scheduler;
    private DecodeLoad? _load;
    private int _prefills;

    /// <summary>Takes memory for keys and values of the largest batch at its longest.</summary>
    /// <param name="model">The model; to be disposed after the benchmark.</param>
    /// <param name="maxBatchSize">Most requests that decode together, at least 1.</param>
    /// <param name="maxLength">Most tokens of a sequence that decodes: its context and its steps; at least 2.</param>
    /// <param name="maxPrompt">Most tokens of a prompt that <see cref="Prefill"/> computes, at least 1.</param>
    /// <param name="options">How to compute; its <see cref="CpuExecutorOptions.KVCacheTokens"/> are not used. Null for the defaults.</param>
    /// <param name="timeProvider">Clock; null for the system's.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument or option is out of its range, or the model sees fewer tokens.</exception>
    /// <exception cref="OutOfMemoryException">There is not enough memory for the cache.</exception>
    public EngineBenchmark(CpuModel model, int maxBatchSize, int maxLength, int maxPrompt, CpuExecutorOptions? options = null, TimeProvider? timeProvider = null)
    {
        const int MostBatch = 4096;
        ArgumentOutOfRangeException.ThrowIfLessThan(maxBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxBatchSize, MostBatch);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPrompt, 1);
        int limit = model.HyperParameters.ContextLength;
        if (maxLength > limit) throw new ArgumentOutOfRangeException(nameof(maxLength), maxLength, $"The model sees at most {limit} tokens.");
        if (maxPrompt >= limit) throw new ArgumentOutOfRangeException(nameof(maxPrompt), maxPrompt, $"The model sees at most {limit} tokens, one of them behind the prompt.");
        (_maxBatchSize, _maxLength, _maxPrompt, _vocabularySize) = (maxBatchSize, maxLength, maxPrompt, model.HyperParameters.VocabularySize);

        // Whole blocks for everything that decodes, and for the prompt of a prefill beside it.
        long tokens = (BlocksFor(maxLength) * maxBatchSize + BlocksFor(maxPrompt)) * PagedAttention.BlockLength;
        if (tokens > int.MaxValue) throw new ArgumentOutOfRangeException(nameof(maxLength), maxLength, $"{maxBatchSize} sequences of this length are more than a KV cache holds.");
        _executor = new CpuModelExecutor(model, (options ?? CpuExecutorOptions.Default) with { KVCacheTokens = (int)tokens });
        _timed = new TimedExecutor(_executor, timeProvider ?? TimeProvider.System);

        // Nothing is dropped from the cache but for want of room, and all requests of a load start together: they attach their cached prompts and compute
        // what is left of them in one step.
        var prefill = new PrefillConfiguration(MaxPrefillBatchSize: maxBatchSize, MaxPrefillMemoryBytes: long.MaxValue, PrefillCacheMaxEntries: int.MaxValue, PrefillCacheTtlSeconds: int.MaxValue);
        var constraints = new BatchConstraints(maxBatchSize, long.MaxValue, MinBatchSize: 1, MaxSequenceLength: Math.Max(maxLength, maxPrompt) + 1)
        {
            MaxTokensPerIteration = Math.Max(2048, maxBatchSize * 2 * PagedAttention.BlockLength),
        };
        _cache = new PagedKVCacheManager(_executor.KVCache, prefill);
        _scheduler = new ContinuousBatchScheduler(
            _queue, new BatchManager(_queue, _cache, constraints, prefill), new CompletionDetector(new CompletionConfiguration(EosTokenId: -1), model.Tokenizer),
            new CapacityManager(new CapacityConstraints(maxBatchSize, MemoryPerSlotBytes: 0, MaxConcurrentRequests: maxBatchSize)), _timed, _metrics,
            SchedulerConfiguration.Default with { MaxRetries = 0, EnableAdaptiveBatching = false });
    }

    /// <summary>Threads that compute.</summary>
    public int Threads => _executor.Threads;

    /// <summary>The cache of keys and values.</summary>
    public KVCacheConfiguration KVCache => _executor.KVCache;

    /// <summary>Computes a prompt that was never seen before, alone, and samples a token behind it.</summary>
    /// <param name="tokens">Tokens of the prompt, 1 to the longest.</param>
    /// <returns>Time that the executor took for all chunks of the prompt.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The prompt is empty or too long.</exception>
    /// <exception cref="InvalidOperationException">A load is being decoded; dispose it first.</exception>
    public TimeSpan Prefill(int tokens)
    {
        RefuseWhileDecoding();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens, _maxPrompt);
        return Compute(RandomPrompt(stream: 1, _prefills++, tokens));
    }

    /// <summary>Starts requests that then decode together, each over its own context.</summary>
    /// <param name="batchSize">How many, 1 to the largest batch.</param>
    /// <param name="context">Tokens that each has computed when the first step begins, 1 to the longest sequence less one.</param>
    /// <exception cref="ArgumentOutOfRangeException">The batch or the context is too small or too large.</exception>
    /// <exception cref="InvalidOperationException">Another load is being decoded; dispose it first.</exception>
    public DecodeLoad StartDecoding(int batchSize, int context)
    {
        RefuseWhileDecoding();
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(batchSize, _maxBatchSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(context, _maxLength);
        int[][] prompts = [.. Enumerable.Range(0, batchSize).Select(i => RandomPrompt(stream: 0, i, context))];
        foreach (int[] prompt in prompts) Compute(prompt);
        return _load = new DecodeLoad(this, prompts, _maxLength - context);
    }

    /// <summary>Ends the threads and frees the cache.</summary>
    public void Dispose()
    {
        _load?.Dispose();
        _scheduler.Dispose();
        _queue.Dispose();
        _metrics.Dispose();
        _cache.Dispose();
        _executor.Dispose();
    }

    internal Request Enqueue(int[] prompt, int maxTokens, CancellationToken cancellationToken)
    {
        var request = new Request(RequestId.New(), "", maxTokens, cancellationToken)
        {
            PromptTokenIds = prompt,
            Options = GenerationOptions.Default with { Temperature = 0, IgnoreEos = true },
        };
        _ = _scheduler.EnqueueAsync(request);
        return request;
    }

    /// <summary>Tokens of prompts that came from the prefix cache.</summary>
    internal long CachedTokens => _cache.HitTokens;

    /// <summary>One step of the scheduler, which runs the executor once.</summary>
    internal TimedExecutor Iterate(params ReadOnlySpan<Request> requests)
    {
        _scheduler.ExecuteIterationAsync().GetAwaiter().GetResult();
        foreach (Request request in requests)
            if (request.Result is { Exception: { } error }) throw new InvalidOperationException($"The engine failed: {error.Message}", error);
        return _timed;
    }

    internal void End(DecodeLoad load)
    {
        if (_load == load) _load = null;
        _scheduler.ExecuteIterationAsync().GetAwaiter().GetResult();
    }

    private TimeSpan Compute(int[] prompt)
    {
        Request request = Enqueue(prompt, maxTokens: 1, CancellationToken.None);
        var total = TimeSpan.Zero;
        while (!request.IsCompleted) total += Iterate(request).Duration;
        return total;
    }

    private static long BlocksFor(int tokens) => tokens / PagedAttention.BlockLength + 1;

    private int[] RandomPrompt(int stream, int number, int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        return [.. Enumerable.Range(0, tokens).Select(position => (int)(CounterRandom.NextDouble((ulong)stream, number, position) * _vocabularySize))];
    }

    private void RefuseWhileDecoding()
    {
        if (_load is not null) throw new InvalidOperationException("A load is being decoded; dispose it first.");
    }
}
