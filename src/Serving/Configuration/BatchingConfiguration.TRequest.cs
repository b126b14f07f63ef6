namespace MLFramework.Serving;

/// <summary>A <see cref="BatchingConfiguration"/> that also knows what a request costs.</summary>
/// <typeparam name="TRequest">The batcher's request type.</typeparam>
public class BatchingConfiguration<TRequest> : BatchingConfiguration
{
    /// <summary>
    /// Cost of a request in any unit, such as tokens, pixels or rows; batches stay within <see cref="BatchingConfiguration.MaxBatchCost"/>.
    /// Called once a request, on its caller's thread: it must be thread-safe and fast.
    /// </summary>
    /// <value>Must answer at least 0. Default: none; every request costs 1.</value>
    public Func<TRequest, int>? CostFunction { get; set; }

    /// <inheritdoc/>
    internal override Type? RequestType => typeof(TRequest);
}
