using System.Runtime.InteropServices;
using System.Security.Cryptography;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

/// <summary>Remembers all logits that tokens of requests were drawn from, as hashes of their bits: between a pass and its sampler, and around the executor.</summary>
internal sealed class LogitsJournal : IModelExecutor, ILogitsConsumer
{
    private readonly Dictionary<RequestId, List<UInt128>> _hashes = [];
    private readonly Dictionary<int, UInt128> _ofPass = [];
    private ILogitsConsumer? _sampler;
    private CpuModelExecutor? _executor;

    /// <summary>Passes that computed several requests' rows.</summary>
    public int SharedPasses { get; private set; }

    /// <summary>Passes that computed prompts and continued answers.</summary>
    public int MixedPasses { get; private set; }

    /// <summary>KV blocks copied on write.</summary>
    public int Copies { get; private set; }

    public ILogitsConsumer Before(ILogitsConsumer sampler)
    {
        _sampler = sampler;
        return this;
    }

    public IModelExecutor Over(CpuModelExecutor executor)
    {
        _executor = executor;
        return this;
    }

    /// <summary>A hash for each token of a request.</summary>
    public IReadOnlyList<UInt128> Of(Request request) => _hashes.TryGetValue(request.Id, out List<UInt128>? hashes) ? hashes : [];

    public void Consume(int member, int output, Span<float> logits)
    {
        UInt128 hash = MemoryMarshal.Read<UInt128>(SHA256.HashData(MemoryMarshal.AsBytes(logits)));
        lock (_ofPass) _ofPass[output] = hash;
        _sampler!.Consume(member, output, logits);
    }

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        if (batch.Size > 1) SharedPasses++;
        if (batch.Schedule.Any(scheduled => scheduled.IsPrefill) && batch.Schedule.Any(scheduled => !scheduled.IsPrefill)) MixedPasses++;
        Copies += batch.BlockCopies.Count;
        BatchOutput result = await _executor!.ExecuteBatchAsync(batch, cancellationToken);
        int output = 0;
        foreach (ScheduledTokens scheduled in batch.Schedule)
        {
            if (!scheduled.ProducesToken) continue;
            if (!_hashes.TryGetValue(scheduled.Request.Id, out List<UInt128>? hashes)) _hashes.Add(scheduled.Request.Id, hashes = []);
            hashes.Add(_ofPass[output++]);
        }
        return result;
    }
}
