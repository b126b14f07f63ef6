namespace MLFramework.Cpu;

/// <summary>Adds up what several threads have packed, and tells of it one call at a time, in ascending order.</summary>
/// <param name="total">Bytes that there will be.</param>
/// <param name="progress">Who is told; null for nobody.</param>
internal sealed class LoadMeter(long total, IProgress<LoadProgress>? progress)
{
    private readonly Lock _lock = new();
    private long _packed;

    /// <summary>Adds bytes.</summary>
    public void Add(long bytes)
    {
        if (progress is null) return;
        lock (_lock)
        {
            _packed += bytes;
            progress.Report(new LoadProgress(_packed, total));
        }
    }
}
