using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>Unnormalized probabilities of all tokens, with loops that a vocabulary of 150,000 needs vectorized. Sums have one fixed order on every machine.</summary>
internal static class Weights
{
    private const int Lanes = 8, BlockLength = 256;

    /// <summary>Computes e to the (logit − largest) / temperature.</summary>
    /// <param name="logits">The logits.</param>
    /// <param name="largest">The largest of them.</param>
    /// <param name="temperature">Above 0.</param>
    /// <param name="weights">Takes a weight in 0 to 1 per logit; below 1e-38 it is 0.</param>
    public static void Exponentiate(ReadOnlySpan<float> logits, float largest, float temperature, Span<float> weights)
    {
        int whole = logits.Length / Lanes * Lanes;
        for (int i = 0; i < whole; i += Lanes) Weight(Vector256.Create(logits[i..]), largest, temperature).CopyTo(weights[i..]);
        if (whole == logits.Length) return;
        Span<float> rest = stackalloc float[Lanes];
        rest.Fill(largest);
        logits[whole..].CopyTo(rest);
        Weight(Vector256.Create((ReadOnlySpan<float>)rest), largest, temperature).CopyTo(rest);
        rest[..(logits.Length - whole)].CopyTo(weights[whole..]);
    }

    /// <summary>Sum of the weights that reach a threshold.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="threshold">The least weight that counts.</param>
    public static double Sum(ReadOnlySpan<float> weights, float threshold = 0)
    {
        ReadOnlySpan<Vector256<float>> vectors = MemoryMarshal.Cast<float, Vector256<float>>(weights);
        Vector256<float> least = Vector256.Create(threshold);
        Vector256<double> lower = Vector256<double>.Zero, upper = Vector256<double>.Zero;
        foreach (Vector256<float> vector in vectors)
        {
            Vector256<float> counted = Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(vector, least), vector, Vector256<float>.Zero);
            lower += Vector256.WidenLower(counted);
            upper += Vector256.WidenUpper(counted);
        }
        lower += upper;
        double sum = lower[0] + lower[1] + lower[2] + lower[3];
        foreach (float weight in weights[(vectors.Length * Lanes)..])
            if (weight >= threshold) sum += weight;
        return sum;
    }

    /// <summary>Draws an index in proportion to the weights: whole blocks are passed over by their sums.</summary>
    /// <param name="weights">The weights, not all 0.</param>
    /// <param name="draw">A number in [0, 1).</param>
    public static int Draw(ReadOnlySpan<float> weights, double draw)
    {
        double total = 0;
        for (int first = 0; first < weights.Length; first += BlockLength) total += BlockSum(weights, first);
        double target = draw * total;
        int last = 0;
        for (int first = 0; first < weights.Length; first += BlockLength)
        {
            double sum = BlockSum(weights, first);
            if (sum == 0) continue;
            last = first;
            if (target < sum) break;
            target -= sum;
        }
        return last + DrawWithin(weights.Slice(last, Math.Min(BlockLength, weights.Length - last)), target);
    }

    private static int DrawWithin(ReadOnlySpan<float> weights, double target)
    {
        int last = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0) continue;
            last = i;
            target -= weights[i];
            if (target < 0) break;
        }
        return last; // The subtractions round: rarely a trace of the target is left behind the last weight.
    }

    private static double BlockSum(ReadOnlySpan<float> weights, int first) => Sum(weights.Slice(first, Math.Min(BlockLength, weights.Length - first)));

    private static Vector256<float> Weight(Vector256<float> logits, float largest, float temperature) =>
        VectorMath.Exp((logits - Vector256.Create(largest)) / Vector256.Create(temperature));
}
