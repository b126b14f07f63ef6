namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Runs the model: one forward pass over everything that a batch schedules.</summary>
/// <remarks>
/// The scheduler calls it from one thread and never twice at once, except after an executor kept running past its
/// cancellation: see <see cref="SchedulerConfiguration.IterationTimeoutMs"/>. A task that is complete when it is returned costs
/// the loop no allocation.
/// </remarks>
public interface IModelExecutor
{
    /// <summary>Computes the batch and samples one token for each request that is past its prompt.</summary>
    /// <param name="batch">
    /// What to compute: <see cref="Batch.BlockCopies"/> first, then <see cref="Batch.Schedule"/>. The executor may use it until its task ends.
    /// </param>
    /// <param name="cancellationToken">Fires when the scheduler gives the iteration up.</param>
    /// <returns>
    /// The sampled tokens. The scheduler has read the output before it calls again, so an executor may use one object for all.
    /// An exception fails the batch, of which then nothing is committed: it is retried, and split until the request that fails it stands alone.
    /// </returns>
    Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default);

    /// <summary>How long this batch should take; zero when the executor does not know.</summary>
    /// <param name="batch">The batch about to be computed.</param>
    TimeSpan EstimateDuration(Batch batch) => TimeSpan.Zero;

    /// <summary>Whether <see cref="GenerationOptions.Grammar"/> is honoured. Where it is not, requests with a grammar are refused.</summary>
    bool SupportsGrammar => false;

    /// <summary>Name of the model for metrics and traces; null when there is none to tell.</summary>
    string? ModelName => null;
}
