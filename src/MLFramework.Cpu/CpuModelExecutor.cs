using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>
/// Runs a model on the CPU: one forward pass per iteration over every scheduled position of every request, with sampling behind it. A request's tokens
/// and log-probabilities are the same bits alone or in any batch, in any chunking, from cached prefixes, after a preemption, and for any number of
/// threads.
/// </summary>
/// <remarks>
/// One caller at a time, on whose thread it computes, with threads of its own beside it. A steady decode step allocates nothing. The cache manager must
/// be a <see cref="PagedKVCacheManager"/> over <see cref="KVCache"/>.
/// </remarks>
public sealed class CpuModelExecutor : IModelExecutor, IDisposable
{
    private readonly CpuModel _model;
    private readonly ComputeTeam _team;
    private readonly PagedAttention _attention;
    private readonly ForwardPass _pass;
    private readonly PassPlan _plan = new();
    private readonly BatchSampler _sampler;
    private readonly ILogitsConsumer _consumer;
    private readonly KVElementType _kvType;
    private readonly List<int> _sequences = [];
    private readonly Dictionary<RequestId, Exception> _failures = [];
    private readonly Dictionary<RequestId, int> _tokens = [];
    private readonly Dictionary<RequestId, TokenLogProbs> _logProbs = [];
    private readonly Dictionary<int, Task<BatchOutput>> _outputs = [];
    private bool _isDisposed;

    /// <summary>Takes memory for keys and values, and starts the threads.</summary>
    /// <param name="model">The model; to be disposed after the executor.</param>
    /// <param name="options">How to compute; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="OutOfMemoryException">There is not enough memory for the cache.</exception>
    public CpuModelExecutor(CpuModel model, CpuExecutorOptions? options = null)
        : this(model, options, static sampler => sampler)
    {
    }

    /// <summary>As the public constructor, with a look at the logits.</summary>
    /// <param name="model">The model.</param>
    /// <param name="options">How to compute.</param>
    /// <param name="observe">Puts a consumer before the sampler, which it must pass the logits on to.</param>
    /// <param name="leastSharedWork">As <see cref="ForwardPass.LeastSharedWork"/>.</param>
    internal CpuModelExecutor(
        CpuModel model, CpuExecutorOptions? options, Func<ILogitsConsumer, ILogitsConsumer> observe, long leastSharedWork = ForwardPass.LeastSharedWork)
    {
        options ??= CpuExecutorOptions.Default;
        options.Validate();
        _model = model;
        int blocks = (int)(((long)options.KVCacheTokens + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength);
        KVCache = new KVCacheConfiguration(blocks, PagedAttention.BlockLength, PagedAttention.BytesPerToken(model.AttentionShape, options.KVType));
        KVCache.Validate();
        _attention = model.Kernels.CreateAttention(model.AttentionShape, options.KVType, blocks);
        _kvType = options.KVType;
        _team = new ComputeTeam(options.Threads ?? HostMachine.This.CoreCount, options.PinThreads ? HostMachine.This.Cores : null);
        _pass = new ForwardPass(model, _attention, _team, leastSharedWork);
        _sampler = new BatchSampler(_team.Size, model.HyperParameters.VocabularySize);
        _consumer = observe(_sampler);
    }

    /// <summary>The cache that this executor computes in, for the <see cref="PagedKVCacheManager"/> beside it.</summary>
    public KVCacheConfiguration KVCache { get; }

    /// <summary>Threads that compute, the caller's included.</summary>
    public int Threads => _team.Size;

    /// <inheritdoc/>
    public string? ModelName => _model.Name;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The batch holds no plan, or KV blocks of another cache: its cache manager is not one over <see cref="KVCache"/>.</exception>
    /// <exception cref="ObjectDisposedException">The executor was disposed.</exception>
    public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Schedule.Count != batch.Size) throw new ArgumentException("The batch was made by hand and schedules nothing; it must come from a BatchManager.", nameof(batch));
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<BatchOutput>(cancellationToken);
        Plan(batch);
        for (int i = 0; i < batch.BlockCopies.Count; i++) _attention.CopyBlock(batch.BlockCopies[i].Source, batch.BlockCopies[i].Destination);
        try
        {
            _pass.Run(_plan, _consumer, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Positions that it had begun are computed anew by the next pass; what other sequences have in the cache was not touched.
            return Task.FromCanceled<BatchOutput>(cancellationToken);
        }
        Collect(batch);
        return OutputOf(batch.Size);
    }

    /// <summary>
    /// Has all kernels that requests will use compiled, by small passes over memory of their own, so that the first request is not slower than those after it.
    /// Before the first batch, or between two.
    /// </summary>
    /// <param name="cancellationToken">Ends it early, which does no harm.</param>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="ObjectDisposedException">The executor was disposed.</exception>
    public void WarmUp(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Cpu.WarmUp.Run(_model, _kvType, _team, cancellationToken);
    }

    /// <summary>Ends the threads and frees the cache. Not while a batch is computed.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _team.Dispose();
        _pass.Dispose();
        _plan.Dispose();
        _attention.Dispose();
    }

    private void Plan(Batch batch)
    {
        _plan.Clear();
        _sequences.Clear();
        _failures.Clear();
        _sampler.Clear();
        for (int i = 0; i < batch.BlockCopies.Count; i++)
        {
            CheckBlock(batch.BlockCopies[i].Source);
            CheckBlock(batch.BlockCopies[i].Destination);
        }
        for (int i = 0; i < batch.Schedule.Count; i++)
        {
            ScheduledTokens scheduled = batch.Schedule[i];
            CheckBlocks(scheduled);
            if (Refuse(scheduled) is { } refusal)
            {
                _failures.Add(scheduled.Request.Id, refusal);
                _sequences.Add(-1);
                continue;
            }
            _sequences.Add(_plan.Add(scheduled.TokenIds, scheduled.Start, scheduled.BlockIds, scheduled.ProducesToken));
            if (scheduled.ProducesToken) _sampler.Add(scheduled.Request, scheduled.End);
        }
    }

    /// <summary>Blocks of another cache would mean memory of somebody else: that is a defect of the set-up, not of a request.</summary>
    private void CheckBlocks(ScheduledTokens scheduled)
    {
        ReadOnlySpan<int> blocks = scheduled.BlockIds;
        if ((long)blocks.Length * PagedAttention.BlockLength < scheduled.End)
            throw new ArgumentException($"Request {scheduled.Request.Id} has {blocks.Length} KV blocks for {scheduled.End} positions; use a PagedKVCacheManager over the executor's KVCache.");
        foreach (int block in blocks) CheckBlock(block);
    }

    private void CheckBlock(int block)
    {
        if ((uint)block >= (uint)_attention.Blocks)
            throw new ArgumentException($"KV block {block} is none of the {_attention.Blocks} of this executor; use a PagedKVCacheManager over the executor's KVCache.");
    }

    /// <summary>What is wrong with a request, or null.</summary>
    private ArgumentException? Refuse(ScheduledTokens scheduled)
    {
        if (scheduled.End > _model.HyperParameters.ContextLength)
            return new ArgumentException($"The model sees at most {_model.HyperParameters.ContextLength} tokens; the request has {scheduled.End}. Shorten it, or set BatchConstraints.MaxSequenceLength to the model's context.");
        foreach (int token in scheduled.TokenIds)
            if ((uint)token >= (uint)_model.HyperParameters.VocabularySize)
                return new ArgumentException($"Token {token} is not in the vocabulary; ids of this model go from 0 to {_model.HyperParameters.VocabularySize - 1}.");
        return null;
    }

    private void Collect(Batch batch)
    {
        _tokens.Clear();
        _logProbs.Clear();
        for (int i = 0; i < batch.Schedule.Count; i++)
        {
            if (_sequences[i] < 0) continue;
            RequestId id = batch.Schedule[i].Request.Id;
            PlannedSequence sequence = _plan.Sequence(_sequences[i]);
            if (!_pass.IsFinite(sequence) || (sequence.Output >= 0 && !_sampler[sequence.Output].IsFinite))
            {
                _failures.Add(id, new ModelOutputException("The model computed something that is not a finite number for this request; the model file may be damaged, or its weights too large for it."));
            }
            else if (sequence.Output >= 0)
            {
                SampledToken sampled = _sampler[sequence.Output];
                _tokens.Add(id, sampled.Token);
                if (sampled.LogProbs is { } logProbs) _logProbs.Add(id, logProbs);
            }
        }
    }

    /// <summary>The scheduler has read an output before it asks for the next: one per batch size serves for ever.</summary>
    private Task<BatchOutput> OutputOf(int size)
    {
        if (!_outputs.TryGetValue(size, out Task<BatchOutput>? output))
        {
            output = Task.FromResult(new BatchOutput(_tokens, [], new bool[size]) { LogProbs = _logProbs, Failures = _failures });
            _outputs.Add(size, output);
        }
        return output;
    }
}
