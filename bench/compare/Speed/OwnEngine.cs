using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Compare;

/// <summary>
/// Our engine as the scheduler uses it: requests, planned by a <see cref="BatchManager"/> over a paged cache whose blocks lie in no order, computed and sampled
/// by a <see cref="CpuModelExecutor"/>. Prefixes are not shared, so every sequence has keys and values of its own.
/// </summary>
internal sealed class OwnEngine : IDisposable
{
    /// <summary>Positions computed at once, as in llama.cpp.</summary>
    private const int MicroBatchLength = 512;

    /// <summary>Room that stays free: the planner admits nobody into the last hundredth of a cache.</summary>
    private const double CacheSlack = 1.02;

    private static readonly GenerationOptions s_greedy = GenerationOptions.Default with { Temperature = 0, IgnoreEos = true };

    private readonly CpuModelExecutor _executor;
    private readonly PagedKVCacheManager _cache;
    private readonly RequestQueue _queue = new();
    private readonly BatchManager _batches;
    private readonly List<Request> _running = [];

    /// <param name="model">The model.</param>
    /// <param name="threads">Threads that compute.</param>
    /// <param name="sequences">Most sequences at once.</param>
    /// <param name="length">Most tokens of each.</param>
    /// <param name="seed">Of the order of the cache's blocks.</param>
    public OwnEngine(CpuModel model, int threads, int sequences, int length, int seed)
    {
        int padded = (length + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength * PagedAttention.BlockLength;
        _executor = new CpuModelExecutor(model, new CpuExecutorOptions { Threads = threads, KVCacheTokens = (int)(sequences * padded * CacheSlack) + PagedAttention.BlockLength });
        var prefill = new PrefillConfiguration(MaxPrefillBatchSize: MicroBatchLength, MaxPrefillMemoryBytes: long.MaxValue, PrefillChunkSize: MicroBatchLength, EnablePrefillCaching: false);
        _cache = new PagedKVCacheManager(_executor.KVCache, prefill);
        var constraints = new BatchConstraints(sequences, long.MaxValue, MinBatchSize: 1, MaxSequenceLength: padded) { MaxTokensPerIteration = Math.Max(MicroBatchLength, sequences) };
        _batches = new BatchManager(_queue, _cache, constraints, prefill);
        ShuffleBlocks(new Random(seed));
    }

    /// <summary>Sequences that run.</summary>
    public int Count => _running.Count;

    /// <summary>Starts sequences and computes their prompts.</summary>
    /// <param name="prompts">What is in the cache afterwards.</param>
    /// <param name="next">For each the token after its prompt, which <see cref="Step"/> computes.</param>
    public void Start(IReadOnlyList<int[]> prompts, IReadOnlyList<int> next)
    {
        foreach (int[] prompt in prompts) _running.Add(Enqueue(prompt));
        int waiting = prompts.Count;
        while (waiting > 0)
        {
            Batch batch = _batches.PrepareNextIteration();
            if (batch.Size < _running.Count - waiting + 1) throw new InvalidOperationException("The planner lets nobody in.");
            Execute(batch);
            for (int i = 0; i < batch.Size; i++)
            {
                Request request = batch.Requests[i];
                if (!batch.Schedule[i].ProducesToken || request.GeneratedTokenIds.Count > 0) continue;
                request.GeneratedTokenIds.Add(next[_running.IndexOf(request)]);
                waiting--;
            }
        }
    }

    /// <summary>One decode step of all sequences, with planning and sampling. It is never committed, so the next computes the same positions again.</summary>
    /// <param name="tokens">Takes the sampled tokens, in the order in which the sequences were started.</param>
    public void Step(Span<int> tokens)
    {
        Batch batch = _batches.PrepareNextIteration();
        if (batch.Size != _running.Count || batch.TokenCount != _running.Count) throw new InvalidOperationException($"A step of {batch.TokenCount} positions of {batch.Size} of {_running.Count} sequences was planned.");
        Dictionary<RequestId, int> sampled = Execute(batch);
        for (int i = 0; i < _running.Count; i++) tokens[i] = sampled[_running[i].Id];
    }

    /// <summary>Ends all sequences but the first.</summary>
    public void Keep(int count)
    {
        _batches.RemoveCompletedRequests([.. _running.Skip(count).Select(request => request.Id)]);
        _running.RemoveRange(count, _running.Count - count);
    }

    /// <summary>Computes a prompt as the only sequence and samples the first token after it.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <returns>The token.</returns>
    public int Prefill(int[] prompt)
    {
        Request request = Enqueue(prompt);
        Batch batch;
        Dictionary<RequestId, int> sampled;
        do
        {
            batch = _batches.PrepareNextIteration();
            sampled = Execute(batch);
        }
        while (!batch.Schedule[0].ProducesToken);
        int token = sampled[request.Id];
        _batches.RemoveCompletedRequests([request.Id]);
        return token;
    }

    /// <summary>Ends the threads and frees the cache.</summary>
    public void Dispose()
    {
        _queue.Dispose();
        _cache.Dispose();
        _executor.Dispose();
    }

    private Request Enqueue(int[] prompt)
    {
        var request = new Request(RequestId.New(), "", int.MaxValue, CancellationToken.None) { PromptTokenIds = prompt, Options = s_greedy };
        _queue.Enqueue(request);
        return request;
    }

    private Dictionary<RequestId, int> Execute(Batch batch)
    {
        BatchOutput output = _executor.ExecuteBatchAsync(batch).GetAwaiter().GetResult();
        return output.Failures is { Count: > 0 } failures ? throw new CompareException("Our engine failed: " + failures.First().Value.Message, failures.First().Value) : output.GeneratedTokens;
    }

    /// <summary>A new pool hands its blocks out in order, as no pool in use does: claims all and gives them back in random order.</summary>
    private void ShuffleBlocks(Random random)
    {
        RequestId[] holders = [.. Enumerable.Range(0, _cache.TotalBlocks).Select(_ => RequestId.New())];
        foreach (RequestId holder in holders) _cache.AllocateCache(holder, _cache.BlockSize);
        random.Shuffle(holders);
        foreach (RequestId holder in holders) _cache.ReleaseCache(holder);
    }
}
