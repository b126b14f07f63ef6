namespace MLFramework.Cpu;

/// <summary>
/// What attention has summed for some rows over some positions: for each row the largest score, the sum of the weights against it, and the weighted sum of
/// the values. Scores are logarithms to base 2.
/// </summary>
internal readonly unsafe struct PartialSums(float* memory, int rows, int length)
{
    /// <summary>Less than any finite score.</summary>
    private const float Lowest = float.MinValue;

    /// <summary>[rows]: the largest score seen; the lowest float if none was.</summary>
    public float* Largest => memory;

    /// <summary>[rows]: sums of the weights.</summary>
    public float* Weights => memory + rows;

    /// <summary>[rows, length]: weighted sums of the values.</summary>
    public float* Values => memory + 2 * rows;

    /// <summary>Floats that they take.</summary>
    public static int Length(int rows, int length) => rows * (2 + length);

    /// <summary>Begins with no positions.</summary>
    public void Clear()
    {
        new Span<float>(Largest, rows).Fill(Lowest);
        new Span<float>(Weights, rows * (1 + length)).Clear();
    }
}
