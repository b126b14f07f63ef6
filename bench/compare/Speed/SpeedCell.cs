namespace MLFramework.Compare;

/// <summary>Whether a cell is about prompts or about tokens after them.</summary>
internal enum Phase
{
    /// <summary>One token of each sequence.</summary>
    Decode,

    /// <summary>A prompt of one sequence.</summary>
    Prefill,
}

/// <summary>Both engines at one piece of work, llama.cpp with the kind of attention that was better for it.</summary>
/// <param name="Phase">Prompt or decode.</param>
/// <param name="Batch">Sequences.</param>
/// <param name="Length">Tokens of the context before a decode step, or of the prompt.</param>
/// <param name="FlashAttention">Whether llama.cpp was faster with flash attention.</param>
/// <param name="Ratio">Median of the per-step ratios of tokens/s, ours over llama.cpp's.</param>
/// <param name="OtherRatio">The same against llama.cpp's other kind of attention.</param>
/// <param name="OwnTokensPerSecond">Ours, at the median step.</param>
/// <param name="OwnBestTokensPerSecond">Ours, at the best step.</param>
/// <param name="PeerTokensPerSecond">llama.cpp's, at the median step.</param>
/// <param name="PeerBestTokensPerSecond">llama.cpp's, at the best step.</param>
/// <param name="OwnStepMs">Our median step in milliseconds.</param>
/// <param name="PeerStepMs">llama.cpp's.</param>
/// <param name="SameTokens">Of the greedy tokens of a step, how many both engines agree on.</param>
internal sealed record SpeedCell(
    Phase Phase, int Batch, int Length, bool FlashAttention, double Ratio, double OtherRatio, double OwnTokensPerSecond, double OwnBestTokensPerSecond,
    double PeerTokensPerSecond, double PeerBestTokensPerSecond, double OwnStepMs, double PeerStepMs, int SameTokens)
{
    /// <summary>The column's heading.</summary>
    public string Title => Phase == Phase.Decode ? $"batch {Batch}" : $"prefill {Length}";

    /// <summary>Ratio of the best steps: on a busy machine they say more than medians.</summary>
    public double BestRatio => OwnBestTokensPerSecond / PeerBestTokensPerSecond;

    /// <summary>Makes a cell of measured times, choosing the kind of attention against which we look worse.</summary>
    public static SpeedCell Of(Phase phase, int batch, int length, PairedTimes withFlash, PairedTimes without, int sameTokens)
    {
        bool flash = withFlash.MedianRatio <= without.MedianRatio;
        (PairedTimes times, PairedTimes other) = flash ? (withFlash, without) : (without, withFlash);
        int tokens = phase == Phase.Decode ? batch : length;
        return new SpeedCell(
            phase, batch, length, flash, times.MedianRatio, other.MedianRatio, tokens / times.OwnMedian, tokens / times.OwnBest, tokens / times.PeerMedian, tokens / times.PeerBest,
            times.OwnMedian * 1e3, times.PeerMedian * 1e3, sameTokens);
    }
}
