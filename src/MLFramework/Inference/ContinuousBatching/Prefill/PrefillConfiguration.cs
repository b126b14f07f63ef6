namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How prompts are computed and reused.</summary>
/// <param name="MaxPrefillBatchSize">Most requests that compute prompt tokens in one iteration.</param>
/// <param name="MaxPrefillMemoryBytes">Most KV-cache bytes that the prompt tokens of one iteration may write.</param>
/// <param name="PrefillChunkSize">Most prompt tokens of one request in one iteration.</param>
/// <param name="EnablePrefillCaching">Whether prompts reuse the KV blocks of prompts computed before.</param>
/// <param name="PrefillCacheMaxEntries">Most distinct prefixes kept that no running request holds; the least recently used goes first.</param>
/// <param name="PrefillCacheTtlSeconds">Seconds after which a prefix that nobody used is dropped.</param>
public record class PrefillConfiguration(
    int MaxPrefillBatchSize = 8,
    long MaxPrefillMemoryBytes = 4L * 1024 * 1024 * 1024,
    int PrefillChunkSize = 512,
    bool EnablePrefillCaching = true,
    int PrefillCacheMaxEntries = 100,
    int PrefillCacheTtlSeconds = 300)
{
    /// <summary>The defaults.</summary>
    public static readonly PrefillConfiguration Default = new();

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is zero or negative.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPrefillBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPrefillMemoryBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(PrefillChunkSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(PrefillCacheMaxEntries, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(PrefillCacheTtlSeconds, 0);
    }
}
