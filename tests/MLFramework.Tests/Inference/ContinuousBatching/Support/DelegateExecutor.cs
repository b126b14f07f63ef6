using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

/// <summary>An executor that does what a test says, for those that lie, hang or fail.</summary>
internal sealed class DelegateExecutor(Func<Batch, CancellationToken, Task<BatchOutput>> run) : IModelExecutor
{
    public DelegateExecutor(Func<Batch, BatchOutput> run)
        : this((batch, _) => Task.FromResult(run(batch)))
    {
    }

    /// <summary>Batches that it was asked to compute.</summary>
    public int Calls { get; private set; }

    public TimeSpan Estimate { get; set; }

    public bool SupportsGrammar { get; set; }

    public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        Calls++;
        return run(batch, cancellationToken);
    }

    public TimeSpan EstimateDuration(Batch batch) => Estimate;

    /// <summary>A well-formed output: <paramref name="token"/> for everybody who is due one.</summary>
    public static BatchOutput Answer(Batch batch, int token = 'a') => new(
        batch.Schedule.Where(s => s.ProducesToken).ToDictionary(s => s.Request.Id, _ => token), [], new bool[batch.Size]);
}
