namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How much of the capacity is in use, in percent, 0–100.</summary>
/// <param name="SlotUtilization">Slots in use over <see cref="CapacityConstraints.MaxBatchSize"/>.</param>
/// <param name="MemoryUtilization">Memory given out over <see cref="CapacityConstraints.MaxMemoryBytes"/>.</param>
/// <param name="RequestUtilization">Allocations over <see cref="CapacityConstraints.MaxConcurrentRequests"/>.</param>
/// <param name="GpuUtilization">What the device reports of its own computing; null without a device that tells.</param>
public record class CapacityUtilization(double SlotUtilization, double MemoryUtilization, double RequestUtilization, double? GpuUtilization);
