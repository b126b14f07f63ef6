namespace MLFramework.Cpu;

/// <summary>Pools the hidden states of one text, which come in the order of their positions.</summary>
/// <param name="pooling">How.</param>
/// <param name="tokens">Tokens of the text.</param>
/// <param name="length">Elements of a state.</param>
internal sealed class PooledStates(EmbeddingPooling pooling, int tokens, int length)
{
    private readonly double[] _sums = new double[length];

    /// <summary>Adds a token's state.</summary>
    public void Add(int position, ReadOnlySpan<float> state)
    {
        bool counts = pooling switch { EmbeddingPooling.Last => position == tokens - 1, EmbeddingPooling.First => position == 0, _ => true };
        if (!counts) return;
        for (int i = 0; i < length; i++) _sums[i] += state[i];
    }

    /// <summary>The pooled vector.</summary>
    /// <param name="normalizes">Whether to scale it to length 1; zeros stay zeros.</param>
    public float[] ToVector(bool normalizes)
    {
        double divisor = pooling == EmbeddingPooling.Mean ? tokens : 1;
        if (normalizes)
        {
            double squares = 0;
            foreach (double sum in _sums) squares += sum * sum;
            divisor = squares > 0 ? Math.Sqrt(squares) : 1;
        }
        return Array.ConvertAll(_sums, sum => (float)(sum / divisor));
    }
}
