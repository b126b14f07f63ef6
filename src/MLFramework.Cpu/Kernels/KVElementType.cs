namespace MLFramework.Cpu;

/// <summary>How the KV cache stores keys and values.</summary>
public enum KVElementType
{
    /// <summary>16-bit floats; values beyond ±65504 become the nearest of these.</summary>
    F16,

    /// <summary>32-bit floats: twice the memory, nothing rounded.</summary>
    F32,
}
