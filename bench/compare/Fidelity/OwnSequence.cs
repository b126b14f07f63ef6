using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>A sequence in our engine, below the scheduler and the sampler, where the logits are.</summary>
internal sealed class OwnSequence : ISequence, ILogitsConsumer
{
    private readonly ComputeTeam _team;
    private readonly PagedAttention _attention;
    private readonly ForwardPass _pass;
    private readonly PassPlan _plan = new();
    private readonly int[] _blocks;
    private readonly float[] _logits;
    private int _length;

    /// <param name="model">The model.</param>
    /// <param name="length">Most tokens.</param>
    /// <param name="threads">Threads that compute.</param>
    /// <param name="cacheType">How keys and values are stored.</param>
    public OwnSequence(CpuModel model, int length, int threads, KVElementType cacheType)
    {
        // From the last block down: no order is assumed.
        _blocks = [.. Enumerable.Range(0, (length + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength).Reverse()];
        _logits = new float[model.HyperParameters.VocabularySize];
        _team = new ComputeTeam(threads);
        _attention = model.Kernels.CreateAttention(model.AttentionShape, cacheType, _blocks.Length);
        _pass = new ForwardPass(model, _attention, _team);
    }

    /// <inheritdoc/>
    public ReadOnlySpan<float> Append(ReadOnlySpan<int> tokens)
    {
        _plan.Clear();
        _plan.Add(tokens, _length, _blocks, wantsLogits: true);
        _pass.Run(_plan, this, CancellationToken.None);
        _length += tokens.Length;
        return _logits;
    }

    /// <inheritdoc/>
    public void Reset() => _length = 0;

    /// <inheritdoc/>
    public void Consume(int member, int output, Span<float> logits) => logits.CopyTo(_logits);

    /// <summary>Ends the threads and frees the cache.</summary>
    public void Dispose()
    {
        _pass.Dispose();
        _plan.Dispose();
        _attention.Dispose();
        _team.Dispose();
    }
}
