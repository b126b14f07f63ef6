using System.Collections.Concurrent;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Scenarios;

/// <summary>Watches the steps of a model.</summary>
internal sealed class ObservedExecutor(IModelExecutor inner) : IModelExecutor
{
    /// <summary>Called before each step is computed; may throw.</summary>
    public Action<Batch>? BeforeStep { get; set; }

    /// <summary>Sizes of all batches computed.</summary>
    public ConcurrentQueue<int> BatchSizes { get; } = new();

    /// <summary>Positions computed in total: what caching saves.</summary>
    public long TokensComputed { get; private set; }

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        BeforeStep?.Invoke(batch);
        BatchSizes.Enqueue(batch.Size);
        foreach (ScheduledTokens scheduled in batch.Schedule)
        {
            TokensComputed += scheduled.Count;
        }

        return await inner.ExecuteBatchAsync(batch, cancellationToken);
    }
}
