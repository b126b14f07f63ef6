namespace MLFramework.Cpu;

/// <summary>How far the loading of a model has come.</summary>
/// <param name="PackedBytes">Bytes of weights that are in memory, ready to be multiplied.</param>
/// <param name="TotalBytes">Bytes that there will be.</param>
public readonly record struct LoadProgress(long PackedBytes, long TotalBytes);
