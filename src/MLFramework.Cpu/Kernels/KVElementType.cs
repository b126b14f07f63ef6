using System.Diagnostics.CodeAnalysis;

namespace MLFramework.Cpu;

/// <summary>How the KV cache stores keys and values.</summary>
[SuppressMessage("Naming", "CA1707:Identifiers should not contain underscores", Justification = "These are the names of the formats.")]
public enum KVElementType
{
    /// <summary>16-bit floats; values beyond ±65504 become the nearest of these.</summary>
    F16,

    /// <summary>32-bit floats: twice the memory, nothing rounded.</summary>
    F32,

    /// <summary>
    /// 8-bit integers with a 32-bit scale per 32 elements of a head: 9/16 of the memory of <see cref="F16"/>. An element is off by at most 1/254 of the
    /// largest of its 32.
    /// </summary>
    Q8_0,
}
