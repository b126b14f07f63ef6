namespace MLFramework.Serving;

/// <summary>Processes one batch with the services of its own scope, such as a database context.</summary>
/// <typeparam name="TRequest">What a caller submits.</typeparam>
/// <typeparam name="TResponse">What a caller gets back.</typeparam>
/// <param name="services">A scope that lives for this batch, or this attempt at it.</param>
/// <param name="requests">The payloads, best rank first.</param>
/// <param name="cancellationToken">Signalled when nobody wants the responses any more.</param>
/// <returns>Exactly one response for each request, in the order of <paramref name="requests"/>.</returns>
public delegate Task<List<TResponse>> ScopedBatchProcessor<TRequest, TResponse>(
    IServiceProvider services, List<TRequest> requests, CancellationToken cancellationToken);
