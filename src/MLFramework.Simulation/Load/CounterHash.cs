namespace MLFramework.Simulation;

/// <summary>
/// Counter-based randomness: a value is a pure function of a key and a counter, so that it does not depend on what was drawn
/// before or on who draws beside.
/// </summary>
/// <remarks>The finalizer is that of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).</remarks>
internal static class CounterHash
{
    /// <summary>The increment of SplitMix64: the odd number next to 2^64 over the golden ratio.</summary>
    private const ulong Golden = 0x9E3779B97F4A7C15;

    /// <summary>A uniform value for a counter under a key.</summary>
    public static ulong At(ulong key, ulong counter) => Mix(key + (counter * Golden));

    /// <summary>A key of its own for each pair of key and stream.</summary>
    public static ulong Derive(ulong key, ulong stream) => Mix(Mix(key + Golden) ^ (stream * Golden));

    /// <summary>Maps a value to 0 … <paramref name="bound"/> − 1 by multiplication (Lemire 2019); the bias is below bound / 2^32.</summary>
    public static int Below(ulong value, int bound) => (int)(((value >> 32) * (ulong)bound) >> 32);

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
