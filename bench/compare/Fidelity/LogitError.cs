namespace MLFramework.Compare;

/// <summary>Distance of logits from the exact ones, relative to these, over some positions.</summary>
/// <param name="Typical">Root mean square over the positions.</param>
/// <param name="Worst">At the worst of them.</param>
internal readonly record struct LogitError(double Typical, double Worst)
{
    /// <summary>That of several positions.</summary>
    public static LogitError Of(double[] errors) => new(Math.Sqrt(errors.Average(error => error * error)), errors.Max());

    /// <summary>The one that is typically smaller.</summary>
    public static LogitError Better(LogitError a, LogitError b) => a.Typical <= b.Typical ? a : b;

    /// <summary>√(Σ(a − e)² ∕ Σe²) over the vocabulary.</summary>
    public static double Relative(ReadOnlySpan<float> actual, ReadOnlySpan<double> expected)
    {
        double error = 0, square = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            square += expected[i] * expected[i];
        }
        return Math.Sqrt(error / square);
    }
}
