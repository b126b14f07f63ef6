namespace MLFramework.Inference.ContinuousBatching;

/// <summary>When a response is complete.</summary>
/// <param name="EosTokenId">The model's end-of-sequence token; −1 for none.</param>
/// <param name="DefaultMaxTokens">Most tokens to generate for callers that state none.</param>
/// <param name="StopStrings">Texts that end every response and are not part of it; null for none. Requests may add their own.</param>
/// <param name="MaxResponseLength">Most characters of a response; null for no limit.</param>
/// <param name="EnableEarlyStopping">Whether a response that only repeats itself is ended.</param>
/// <param name="EarlyStoppingThreshold">
/// Share of distinct tokens among the last <see cref="CompletionDetector.EarlyStoppingWindow"/> at or under which a response only repeats itself, 0–1.
/// </param>
public record class CompletionConfiguration(
    int EosTokenId = 2,
    int DefaultMaxTokens = 256,
    List<string>? StopStrings = null,
    int? MaxResponseLength = null,
    bool EnableEarlyStopping = false,
    double EarlyStoppingThreshold = 0.01)
{
    /// <summary>The defaults.</summary>
    public static readonly CompletionConfiguration Default = new();

    /// <summary>Further tokens that end a response, as models with several ends have.</summary>
    public IReadOnlyList<int> AdditionalEosTokenIds { get; init; } = [];

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    /// <exception cref="ArgumentException">A stop string is null or empty.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(DefaultMaxTokens, 1);
        if (MaxResponseLength is { } length)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(length, 1, nameof(MaxResponseLength));
        }

        if (!(EarlyStoppingThreshold >= 0 && EarlyStoppingThreshold <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(EarlyStoppingThreshold), EarlyStoppingThreshold, "EarlyStoppingThreshold is a share from 0 to 1.");
        }

        if (StopStrings is not null && StopStrings.Exists(string.IsNullOrEmpty))
        {
            throw new ArgumentException("A stop string must not be null or empty: it would end every response at once.", nameof(StopStrings));
        }
    }

    internal bool IsEos(int tokenId)
    {
        if (tokenId == EosTokenId)
        {
            return true;
        }

        for (int i = 0; i < AdditionalEosTokenIds.Count; i++)
        {
            if (AdditionalEosTokenIds[i] == tokenId)
            {
                return true;
            }
        }

        return false;
    }
}
