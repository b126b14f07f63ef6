namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Tells what an accelerator measures of itself.</summary>
public interface IGPUResourceManager
{
    /// <summary>Share of the last sampling period in which the device computed, in percent, 0–100; null when it cannot be read.</summary>
    double? GetUtilization();

    /// <summary>Total device memory in bytes; null when it cannot be read.</summary>
    long? GetTotalMemoryBytes();

    /// <summary>Device memory in use by all processes, in bytes; null when it cannot be read.</summary>
    long? GetUsedMemoryBytes();
}
