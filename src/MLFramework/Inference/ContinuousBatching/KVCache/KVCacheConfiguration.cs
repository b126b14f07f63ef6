namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Size and shape of a paged KV cache.</summary>
/// <param name="TotalBlocks">Blocks in the pool, at least 1.</param>
/// <param name="BlockSize">Tokens per block, at least 1.</param>
/// <param name="BytesPerToken">Bytes of keys and values per token over all layers, at least 1; for reporting and memory limits.</param>
public record class KVCacheConfiguration(int TotalBlocks, int BlockSize = 16, long BytesPerToken = 1)
{
    /// <summary>The largest pool that fits a memory budget.</summary>
    /// <param name="memoryBytes">Bytes for keys and values.</param>
    /// <param name="bytesPerToken">Bytes per token over all layers.</param>
    /// <param name="blockSize">Tokens per block.</param>
    /// <exception cref="ArgumentOutOfRangeException">The budget does not hold one block, or an argument is not positive.</exception>
    public static KVCacheConfiguration ForMemory(long memoryBytes, long bytesPerToken, int blockSize = 16)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytesPerToken, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(blockSize, 1);
        long blocks = memoryBytes / bytesPerToken / blockSize;
        if (blocks < 1)
        {
            throw new ArgumentOutOfRangeException(
                nameof(memoryBytes), memoryBytes, $"One block of {blockSize} tokens at {bytesPerToken} bytes each does not fit: raise the budget or lower the block size.");
        }

        return new KVCacheConfiguration((int)Math.Min(Array.MaxLength / blockSize, blocks), blockSize, bytesPerToken);
    }

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is not positive, or the pool has more positions or bytes than can be counted.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(TotalBlocks, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BlockSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BytesPerToken, 1);
        long positions = (long)TotalBlocks * BlockSize;
        if (positions > Array.MaxLength || BytesPerToken > long.MaxValue / positions)
        {
            throw new ArgumentOutOfRangeException(
                nameof(TotalBlocks), TotalBlocks, $"{positions} positions of {BytesPerToken} bytes are too many: lower TotalBlocks, and check BytesPerToken.");
        }
    }
}
