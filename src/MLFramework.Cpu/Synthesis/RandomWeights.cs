using System.Text;

namespace MLFramework.Cpu;

/// <summary>
/// Weights that are a function of seed, tensor and position: the same in whatever order and type they are made. Each is the sum of four uniform numbers
/// (Irwin–Hall), which has the normal distribution's bell without its tails: nothing lies beyond 3.5 standard deviations.
/// </summary>
internal static class RandomWeights
{
    private const int Part = (1 << 16) - 1;

    // Variance of a uniform number on 0 … n − 1 is (n² − 1) / 12.
    private static readonly double Deviation = Math.Sqrt(4 * ((1L << 32) - 1) / 12.0);

    /// <summary>Fills a part of a tensor.</summary>
    /// <param name="seed">Seed of the model.</param>
    /// <param name="tensor">Name of the tensor.</param>
    /// <param name="first">Index of the first element in the tensor.</param>
    /// <param name="center">Mean.</param>
    /// <param name="deviation">Standard deviation.</param>
    /// <param name="values">Takes the weights.</param>
    public static void Fill(ulong seed, string tensor, long first, float center, float deviation, Span<float> values)
    {
        ulong counter = Mix(seed ^ Hash(tensor)) + (ulong)first * Step;
        float scale = (float)(deviation / Deviation);
        for (int i = 0; i < values.Length; i++, counter += Step)
        {
            ulong bits = Finish(counter);
            int sum = (int)(bits & Part) + (int)(bits >> 16 & Part) + (int)(bits >> 32 & Part) + (int)(bits >> 48);
            values[i] = center + scale * (sum - 2 * Part);
        }
    }

    /// <summary>FNV-1a (Fowler, Noll and Vo).</summary>
    private static ulong Hash(string text)
    {
        ulong hash = 0xCBF2_9CE4_8422_2325;
        foreach (byte value in Encoding.UTF8.GetBytes(text)) hash = (hash ^ value) * 0x100_0000_01B3;
        return hash;
    }

    // SplitMix64 (Steele, Lea and Flood, 2014): a counter in steps of the golden ratio, and its finalizer.
    private const ulong Step = 0x9E37_79B9_7F4A_7C15;

    private static ulong Mix(ulong x) => Finish(x + Step);

    private static ulong Finish(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58_476D_1CE4_E5B9;
        x = (x ^ (x >> 27)) * 0x94D0_49BB_1331_11EB;
        return x ^ (x >> 31);
    }
}
