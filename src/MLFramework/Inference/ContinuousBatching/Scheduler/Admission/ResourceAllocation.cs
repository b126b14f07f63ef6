namespace MLFramework.Inference.ContinuousBatching;

/// <summary>What a request was given to run with.</summary>
/// <param name="RequestId">The request.</param>
/// <param name="AllocatedMemoryBytes">Memory charged to it.</param>
/// <param name="AllocatedSlots">Slots taken; 0 in the allocation of a refused request.</param>
/// <param name="AllocatedTime">When (UTC).</param>
public record class ResourceAllocation(RequestId RequestId, long AllocatedMemoryBytes, int AllocatedSlots, DateTime AllocatedTime);
