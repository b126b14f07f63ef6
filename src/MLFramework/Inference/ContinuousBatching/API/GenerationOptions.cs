namespace MLFramework.Inference.ContinuousBatching;

/// <summary>How to generate. A null member means the default of <see cref="Default"/>.</summary>
/// <param name="Temperature">Sampling temperature, 0–2; 0 takes the likeliest token always.</param>
/// <param name="TopP">Nucleus sampling: the smallest set of tokens whose probability reaches this, in (0, 1].</param>
/// <param name="TopK">Samples among the likeliest K tokens, at least 1; null for all.</param>
/// <param name="FrequencyPenalty">Subtracted from a token's logit once for each time that it was generated, −2 to 2.</param>
/// <param name="PresencePenalty">Subtracted from a token's logit if it was generated, −2 to 2.</param>
/// <param name="StopSequences">Texts that end the response and are not part of it; none empty.</param>
/// <param name="Seed">Makes sampling repeatable: the same seed gives the same tokens under any load.</param>
/// <param name="EchoPrompt">Whether the text returned begins with the prompt.</param>
/// <param name="Grammar">A grammar that the output must follow; refused by executors that do not support grammars.</param>
/// <param name="Metadata">The caller's own data; the key <c>"tenant"</c> names the tenant.</param>
public record class GenerationOptions(
    float? Temperature,
    float? TopP,
    int? TopK,
    float? FrequencyPenalty,
    float? PresencePenalty,
    List<string>? StopSequences,
    int? Seed,
    bool? EchoPrompt,
    string? Grammar,
    Dictionary<string, object>? Metadata)
{
    /// <summary>Most alternatives that <see cref="TopLogProbs"/> may ask for.</summary>
    public const int MaxTopLogProbs = 20;

    /// <summary>Samples from the model's own distribution.</summary>
    public static readonly GenerationOptions Default = new(
        Temperature: 1.0f,
        TopP: 1.0f,
        TopK: null,
        FrequencyPenalty: 0.0f,
        PresencePenalty: 0.0f,
        StopSequences: null,
        Seed: null,
        EchoPrompt: false,
        Grammar: null,
        Metadata: null);

    /// <summary>Asks for the log-probability of each token and of this many of the likeliest alternatives, 0–20; null for none.</summary>
    public int? TopLogProbs { get; init; }

    /// <summary>Whose request it is: the unit of fairness and, unless <see cref="CacheSalt"/> says otherwise, of prefix sharing.</summary>
    public string? Tenant { get; init; }

    /// <summary>Requests share cached prefixes only with requests of the same salt; null for the tenant's name.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>How long the answer is worth waiting for, from enqueueing on; more than zero. Null for the client's own limit.</summary>
    public TimeSpan? TimeLimit { get; init; }

    /// <summary>Goes on after the end-of-sequence token, up to the token limit. For measuring.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    /// <exception cref="ArgumentException">A stop sequence is null or empty.</exception>
    public void Validate()
    {
        CheckRange(Temperature, 0, 2, nameof(Temperature));
        if (TopP is { } topP && !(topP > 0 && topP <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(TopP), topP, "TopP must be more than 0 and at most 1; use 1 to switch nucleus sampling off.");
        }

        if (TopK is < 1)
        {
            throw new ArgumentOutOfRangeException(nameof(TopK), TopK, "TopK must be at least 1; leave it null to consider every token.");
        }

        CheckRange(FrequencyPenalty, -2, 2, nameof(FrequencyPenalty));
        CheckRange(PresencePenalty, -2, 2, nameof(PresencePenalty));
        if (TopLogProbs is < 0 or > MaxTopLogProbs)
        {
            throw new ArgumentOutOfRangeException(nameof(TopLogProbs), TopLogProbs, $"TopLogProbs must be 0 to {MaxTopLogProbs}; leave it null for no log-probabilities.");
        }

        if (TimeLimit is { } limit && limit <= TimeSpan.Zero)
        {
            throw new ArgumentOutOfRangeException(nameof(TimeLimit), limit, "TimeLimit must be more than zero; leave it null for the client's own limit.");
        }

        if (StopSequences is not null && StopSequences.Exists(string.IsNullOrEmpty))
        {
            throw new ArgumentException("A stop sequence must not be null or empty: it would end every response at once.", nameof(StopSequences));
        }
    }

    private static void CheckRange(float? value, float min, float max, string name)
    {
        // Written so that NaN fails.
        if (value is { } v && !(v >= min && v <= max))
        {
            throw new ArgumentOutOfRangeException(name, v, $"{name} must be a number from {min} to {max}.");
        }
    }
}
