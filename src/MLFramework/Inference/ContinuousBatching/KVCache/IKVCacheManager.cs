namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Keeps the keys and values of running requests. Called by the scheduler's owner thread only.</summary>
/// <remarks>
/// <see cref="PagedKVCacheManager"/> is the implementation with KV blocks and prefix reuse; any other is treated as opaque memory:
/// it is asked for more as a request grows, and its requests share nothing.
/// </remarks>
public interface IKVCacheManager
{
    /// <summary>Makes room for a request's first <paramref name="maxTokens"/> tokens. Called again as the request grows.</summary>
    /// <param name="requestId">The request.</param>
    /// <param name="maxTokens">Tokens, prompt and generated together, at least 1.</param>
    /// <returns>Bytes that the request now holds.</returns>
    /// <exception cref="InvalidOperationException">There is no room now.</exception>
    long AllocateCache(RequestId requestId, int maxTokens);

    /// <summary>Frees what a request holds; nothing happens when it holds nothing.</summary>
    /// <param name="requestId">The request.</param>
    void ReleaseCache(RequestId requestId);

    /// <summary>Bytes that all requests hold.</summary>
    long GetCurrentUsageBytes();
}
