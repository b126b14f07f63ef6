namespace MLFramework.Serving;

/// <summary>Forms batches from a queue by the rules of a <see cref="BatchingConfiguration"/>.</summary>
/// <typeparam name="TRequest">Type of the payloads.</typeparam>
/// <typeparam name="TResponse">Type of the responses.</typeparam>
/// <remarks>Thread-safe: any number of consumers may ask at a time. The one that came last is served first, because its caches are warm.</remarks>
public sealed class BatchBuilder<TRequest, TResponse>
{
    private readonly BoundedRequestQueue<TRequest, TResponse> _queue;

    /// <summary>Makes the builder of <paramref name="queue"/>; a queue has one.</summary>
    /// <param name="queue">Where requests wait.</param>
    /// <param name="config">Batch sizes, waiting times and strategy. <see cref="TimeoutStrategy.Adaptive"/> learns within a <see cref="DynamicBatcher{TRequest,TResponse}"/> only.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="config"/> is invalid.</exception>
    public BatchBuilder(BoundedRequestQueue<TRequest, TResponse> queue, BatchingConfiguration config)
    {
        ArgumentNullException.ThrowIfNull(queue);
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        _queue = queue;
        queue.SetRule(config);
    }

    /// <summary>Waits until a batch is due and takes it.</summary>
    /// <param name="cancellationToken">Gives up; nothing is taken from the queue then.</param>
    /// <returns>A batch; an empty one when the queue is closed and nothing will ever come.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> fired.</exception>
    public async Task<RequestBatch<TRequest, TResponse>> BuildBatchAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        bool wasWoken = false;
        while (true)
        {
            if (_queue.TryTakeBatch(wasWoken, out TaskCompletionSource? signal) is { } batch)
            {
                return batch;
            }

            try
            {
                await signal!.Task.WaitAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                _queue.Unregister(signal!);
                throw;
            }

            wasWoken = true;
        }
    }
}
