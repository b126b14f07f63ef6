namespace MLFramework.Cpu;

/// <summary>How the pairs of a head turn with the position (Su et al., "RoFormer", 2021).</summary>
internal sealed class RotaryEmbedding
{
    private readonly double[] _frequencies;
    private readonly double _magnitude;

    /// <param name="width">Elements of a head that turn, two to a pair.</param>
    /// <param name="frequencyBase">Pair i turns by base^(−2i / width) radians per position, before scaling.</param>
    /// <param name="scaling">How that is scaled; null for not at all.</param>
    /// <param name="factors">What each pair's frequency is divided by; null for nothing.</param>
    public RotaryEmbedding(int width, float frequencyBase, RotaryScaling? scaling = null, float[]? factors = null)
    {
        _frequencies = [.. Enumerable.Range(0, width / 2).Select(i => Math.Pow(frequencyBase, -2.0 * i / width) / (factors?[i] ?? 1))];
        _magnitude = scaling?.AttentionFactor ?? 1;
        if (scaling is { Kind: RotaryScalingKind.Yarn })
        {
            (double low, double high) = Ramp(width, frequencyBase, scaling);
            for (int i = 0; i < _frequencies.Length; i++)
            {
                double scaled = Math.Clamp((i - low) / Math.Max(0.001, high - low), 0, 1);
                _frequencies[i] *= scaled / scaling.Factor + (1 - scaled);
            }
            if (scaling.Factor > 1) _magnitude *= 1 + 0.1 * Math.Log(scaling.Factor);
        }
        else if (scaling is not null)
        {
            for (int i = 0; i < _frequencies.Length; i++) _frequencies[i] /= scaling.Factor;
        }
    }

    /// <summary>Writes the cosines, then the sines, of a position's angles.</summary>
    /// <param name="position">The position.</param>
    /// <param name="angles">As many floats as elements turn.</param>
    public void Write(int position, Span<float> angles)
    {
        int pairs = _frequencies.Length;
        for (int i = 0; i < pairs; i++)
        {
            (double sine, double cosine) = Math.SinCos(position * _frequencies[i]);
            (angles[i], angles[pairs + i]) = ((float)(_magnitude * cosine), (float)(_magnitude * sine));
        }
    }

    /// <summary>The pairs from which, and up to which, scaling sets in: those that turn <c>BetaFast</c> and <c>BetaSlow</c> times within the original context.</summary>
    private static (double Low, double High) Ramp(int width, float frequencyBase, RotaryScaling scaling)
    {
        double Pair(double turns) => width * Math.Log(scaling.OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(frequencyBase));
        return (Math.Max(0, Math.Floor(Pair(scaling.BetaFast))), Math.Min(width - 1, Math.Ceiling(Pair(scaling.BetaSlow))));
    }
}
