using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>Times each run of an executor that computes on the caller's thread, and looks at what was computed.</summary>
internal sealed class TimedExecutor(IModelExecutor inner, TimeProvider time) : IModelExecutor
{
    public string? ModelName => inner.ModelName;

    /// <summary>Duration of the last run.</summary>
    public TimeSpan Duration { get; private set; }

    /// <summary>Positions of prompts that the last run computed.</summary>
    public int PrefillTokens { get; private set; }

    /// <summary>Requests that the last run computed one further token for.</summary>
    public int Decodes { get; private set; }

    /// <summary>Bytes that the process allocated during the last run; counted only if <see cref="CountsAllocations"/>.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>Whether to count allocations, which takes the world a moment to stop.</summary>
    public bool CountsAllocations { get; set; }

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        (Decodes, PrefillTokens) = (0, 0);
        for (int i = 0; i < batch.Schedule.Count; i++)
        {
            if (batch.Schedule[i].IsPrefill) PrefillTokens += batch.Schedule[i].Count;
            else Decodes++;
        }
        long allocated = CountsAllocations ? GC.GetTotalAllocatedBytes(precise: true) : 0, start = time.GetTimestamp();
        BatchOutput output = await inner.ExecuteBatchAsync(batch, cancellationToken).ConfigureAwait(false);
        Duration = time.GetElapsedTime(start);
        AllocatedBytes = CountsAllocations ? GC.GetTotalAllocatedBytes(precise: true) - allocated : 0;
        return output;
    }
}
