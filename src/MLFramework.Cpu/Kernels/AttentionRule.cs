namespace MLFramework.Cpu;

/// <summary>How a layer turns products of queries and keys into weights: softmax(cap × tanh(scale × q·k / cap)) over the positions that a query sees.</summary>
/// <param name="Scale">Factor of the products.</param>
/// <param name="SoftCap">Bound that scores approach and never pass (Gemma Team, "Gemma 2", 2024), positive; null for none.</param>
/// <param name="Window">Positions that a query sees, its own and those just before it, at least 1 (Beltagy et al., "Longformer", 2020).</param>
internal readonly record struct AttentionRule(float Scale, float? SoftCap = null, int Window = int.MaxValue)
{
    /// <summary>Scores divided by the root of the head's length, over all positions (Vaswani et al., "Attention Is All You Need", 2017).</summary>
    public static AttentionRule Standard(int headLength) => new((float)(1 / Math.Sqrt(headLength)));

    /// <summary>The first position that a query sees; neither what lies before it nor the blocks there are read.</summary>
    /// <param name="position">The query's position.</param>
    public int FirstSeen(int position) => Math.Max(0, position - Window + 1);
}
