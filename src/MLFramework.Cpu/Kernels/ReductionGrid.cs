namespace MLFramework.Cpu;

/// <summary>
/// Where attention's sums over positions are cut, counted from position 0 of the sequence: together with the order inside a chunk this fixes the bits of
/// every result, whichever tile, batch or thread computes it.
/// </summary>
/// <param name="ChunkLength">Positions whose scores are turned into weights at once, against the largest score so far; a multiple of 16, at most 128.</param>
/// <param name="SpanLength">Positions whose sums start anew and are then merged in order, so that threads can share a long context; a multiple of the chunk.</param>
internal readonly record struct ReductionGrid(int ChunkLength, int SpanLength)
{
    /// <summary>Chunks whose scores stay in the first-level cache, spans that are worth a thread's while.</summary>
    public static readonly ReductionGrid Default = new(128, 1024);
}
