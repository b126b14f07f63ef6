namespace MLFramework.Serving;

/// <summary>Processes one batch of requests.</summary>
/// <typeparam name="TRequest">What a caller submits.</typeparam>
/// <typeparam name="TResponse">What a caller gets back.</typeparam>
/// <param name="requests">The payloads, best rank first. The list is the processor's own: it may keep or change it.</param>
/// <returns>Exactly one response for each request, in the order of <paramref name="requests"/>. A null element is a legal response, a null list is not.</returns>
public delegate Task<List<TResponse>> BatchProcessor<TRequest, TResponse>(List<TRequest> requests);

/// <summary>Processes one batch of requests and can be told that nobody wants its responses any more.</summary>
/// <typeparam name="TRequest">What a caller submits.</typeparam>
/// <typeparam name="TResponse">What a caller gets back.</typeparam>
/// <param name="requests">The payloads, best rank first. The list is the processor's own: it may keep or change it.</param>
/// <param name="cancellationToken">Signalled when every caller of the batch has gone (cancelled or timed out), or when a shutdown has outlived its <see cref="BatchingConfiguration.DrainTimeout"/>.</param>
/// <returns>Exactly one response for each request, in the order of <paramref name="requests"/>. A null element is a legal response, a null list is not.</returns>
public delegate Task<List<TResponse>> CancellableBatchProcessor<TRequest, TResponse>(List<TRequest> requests, CancellationToken cancellationToken);
