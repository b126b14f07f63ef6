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

    /// <summary>
    /// Bytes that the calling thread allocated during the last run. It takes part in all that the executor's own threads do, while others in the process have
    /// work of their own.
    /// </summary>
    public long AllocatedBytes { get; private set; }

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        (Decodes, PrefillTokens) = (0, 0);
        for (int i = 0; i < batch.Schedule.Count; i++)
        {
            if (batch.Schedule[i].IsPrefill) PrefillTokens += batch.Schedule[i].Count;
            else Decodes++;
        }
        long start = time.GetTimestamp(), allocated = GC.GetAllocatedBytesForCurrentThread();
        BatchOutput output = await inner.ExecuteBatchAsync(batch, cancellationToken).ConfigureAwait(false);
        AllocatedBytes = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Duration = time.GetElapsedTime(start);
        return output;
    }
}
