using System.Globalization;

namespace MLFramework.Simulation;

/// <summary>
/// How long prompts or answers are: log-normal, cut at <see cref="Max"/>; or fixed.
/// </summary>
/// <param name="Median">Half are shorter; at least 1 token.</param>
/// <param name="Sigma">Standard deviation of the logarithm, 0 to 5; 0 makes all alike.</param>
public sealed record class LengthDistribution(int Median, double Sigma = 0)
{
    /// <summary>Prompts of the Azure conversation trace: median 1,020, mean 1,155 tokens.</summary>
    public static readonly LengthDistribution ConversationPrompts = new(1020, 0.5);

    /// <summary>Answers of the Azure conversation trace: median 129, mean 211 tokens.</summary>
    public static readonly LengthDistribution ConversationAnswers = new(129, 1.0);

    private const int MaxMedian = Arrival.MaxTokens / MaxMedians;
    private const int MaxSigma = 5;

    /// <summary>Longest length drawn, in medians: rarer ones would make two runs of different seeds incomparable.</summary>
    public const int MaxMedians = 16;

    /// <summary>Longest length drawn, in tokens.</summary>
    public int Max => Sigma == 0 ? Median : (int)Math.Min(int.MaxValue, (long)Median * MaxMedians);

    /// <summary>Mean of the log-normal in tokens, the cut not counted: median · exp(σ²/2).</summary>
    public double Mean => Median * Math.Exp(Sigma * Sigma / 2);

    /// <summary>Parses <c>MEDIAN</c> or <c>MEDIAN~SIGMA</c>, as in <c>512</c> and <c>1020~0.5</c>.</summary>
    /// <param name="text">What the user wrote.</param>
    /// <exception cref="FormatException">The text is of neither form, or a number is out of its range; the message has no full stop, to be quoted in another.</exception>
    public static LengthDistribution Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('~');
        int median = 0;
        double sigma = 0;
        bool isLength = parts.Length <= 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out median)
            && (parts.Length == 1 || double.TryParse(parts[1], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out sigma))
            && median is >= 1 and <= MaxMedian
            && sigma <= MaxSigma;
        return isLength
            ? new LengthDistribution(median, sigma)
            : throw new FormatException(
                $"'{text}' is no length: write tokens from 1 to {MaxMedian}, as 512, or a median and the spread of its logarithm from 0 to {MaxSigma}, as 1020~0.5");
    }

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The median is less than 1 or more than a million, or sigma is not 0 to 5.</exception>
    public void Validate()
    {
        if (Median is < 1 or > MaxMedian)
        {
            throw new ArgumentOutOfRangeException(nameof(Median), Median, $"A median length must be 1 to {MaxMedian} tokens.");
        }

        if (!(Sigma is >= 0 and <= MaxSigma))
        {
            throw new ArgumentOutOfRangeException(nameof(Sigma), Sigma, $"The spread of a length must be 0 to {MaxSigma}.");
        }
    }

    internal int Draw(RandomStream random) =>
        (int)Math.Clamp(Math.Round(Median * Math.Exp(Sigma * random.NextNormal())), 1, Max);
}
