namespace MLFramework.Cpu;

/// <summary>
/// Random numbers that are a function of what they are for, not of how many were drawn before (Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3", 2011): a token's number is the same alone, in any batch, and after a preemption.
/// </summary>
internal static class CounterRandom
{
    /// <summary>A number from 0 (inclusive) to 1 (exclusive).</summary>
    /// <param name="seed">The request's seed.</param>
    /// <param name="sample">Which sample of its prompt.</param>
    /// <param name="position">Position of the token that is drawn.</param>
    public static double NextDouble(ulong seed, int sample, int position)
    {
        ulong bits = Mix(Mix(Mix(seed) ^ (uint)sample) ^ (uint)position);
        return (bits >> 11) * (1.0 / (1UL << 53));
    }

    /// <summary>SplitMix64 (Steele, Lea and Flood, 2014): one step and its finalizer.</summary>
    private static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
