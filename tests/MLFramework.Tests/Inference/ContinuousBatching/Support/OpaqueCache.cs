using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

/// <summary>A KV cache that only counts bytes, and has no more than so many.</summary>
internal sealed class OpaqueCache(long capacityBytes, long bytesPerToken) : IKVCacheManager
{
    private readonly Dictionary<RequestId, long> _held = [];

    public int HolderCount => _held.Count;

    public long AllocateCache(RequestId requestId, int maxTokens)
    {
        long bytes = maxTokens * bytesPerToken;
        long others = GetCurrentUsageBytes() - _held.GetValueOrDefault(requestId);
        if (others + bytes > capacityBytes)
        {
            throw new InvalidOperationException("No room for that now.");
        }

        _held[requestId] = bytes;
        return bytes;
    }

    public void ReleaseCache(RequestId requestId) => _held.Remove(requestId);

    public long GetCurrentUsageBytes() => _held.Values.Sum();
}
