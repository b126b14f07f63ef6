namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Decides whether a response is complete, and why.</summary>
/// <remarks>Holds no state of its own; the text of a response that must be looked at is kept with its request.</remarks>
public class CompletionDetector
{
    /// <summary>Tokens that early stopping looks back on.</summary>
    public const int EarlyStoppingWindow = 128;

    private readonly CompletionConfiguration _configuration;

    /// <summary>Makes a detector.</summary>
    /// <param name="configuration">What ends a response.</param>
    /// <param name="tokenizer">Decodes responses to look for stop strings.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number of the configuration is out of its range.</exception>
    /// <exception cref="ArgumentException">A stop string is empty.</exception>
    public CompletionDetector(CompletionConfiguration configuration, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentNullException.ThrowIfNull(tokenizer);
        configuration.Validate();
        _configuration = configuration;
        Tokenizer = tokenizer;
    }

    internal ITokenizer Tokenizer { get; }

    /// <summary>
    /// Checks a request after its newest token, in this order: cancelled, token limit, end-of-sequence token, stop string, length of the response,
    /// repetition (if <see cref="CompletionConfiguration.EnableEarlyStopping"/>; reported as length).
    /// </summary>
    /// <param name="request">The request, its tokens in <see cref="Request.GeneratedTokenIds"/>.</param>
    /// <returns>Whether it is complete; the reason means something only then.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="request"/> is null.</exception>
    public (bool IsCompleted, CompletionReason Reason) CheckCompletion(Request request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.CancellationToken.IsCancellationRequested)
        {
            return (true, CompletionReason.Cancelled);
        }

        List<int> tokens = request.GeneratedTokenIds;
        ResponseText? text = NeedsText(request) ? TextOf(request) : null;
        if (Math.Max(tokens.Count, request.GeneratedTokens) >= request.MaxTokens)
        {
            return (true, CompletionReason.MaxTokensReached);
        }

        if (tokens.Count > 0 && EndsAt(request, tokens[^1]))
        {
            return (true, CompletionReason.EosTokenReached);
        }

        if (text is { HasStopString: true })
        {
            return (true, CompletionReason.StopString);
        }

        if (text is { IsTooLong: true } || (_configuration.EnableEarlyStopping && OnlyRepeats(tokens)))
        {
            return (true, CompletionReason.LengthReached);
        }

        return (false, default);
    }

    /// <summary>Whether a token ends a request's response and yields no text.</summary>
    internal bool EndsAt(Request request, int tokenId) => _configuration.IsEos(tokenId) && request.Options?.IgnoreEos != true;

    /// <summary>Assembles a response's text anew, as streams do.</summary>
    internal ResponseText NewText(Request request) => new(Tokenizer, StopsOf(request), _configuration.MaxResponseLength);

    /// <summary>The whole text of a response that has ended.</summary>
    internal string FinalText(Request request)
    {
        string response;
        if (NeedsText(request) || request.Stream is not null)
        {
            response = TextOf(request).Complete();
        }
        else
        {
            List<int> tokens = request.GeneratedTokenIds;
            int count = tokens.Count;
            if (count > 0 && EndsAt(request, tokens[^1]))
            {
                count--;
            }

            response = count == 0 ? string.Empty : Tokenizer.Decode([.. tokens.GetRange(0, count)]);
        }

        return request.Options?.EchoPrompt == true ? request.Prompt + response : response;
    }

    private bool NeedsText(Request request) =>
        _configuration.MaxResponseLength is not null || _configuration.StopStrings is { Count: > 0 } || request.Options?.StopSequences is { Count: > 0 };

    /// <summary>The request's text, brought up to its newest token.</summary>
    private ResponseText TextOf(Request request)
    {
        ResponseText text = request.Text ??= NewText(request);
        List<int> tokens = request.GeneratedTokenIds;
        for (int i = text.TokensTaken; i < tokens.Count; i++)
        {
            if (i == tokens.Count - 1 && EndsAt(request, tokens[i]))
            {
                break;
            }

            text.Take(tokens[i]);
        }

        return text;
    }

    private List<string> StopsOf(Request request) => [.. _configuration.StopStrings ?? [], .. request.Options?.StopSequences ?? []];

    private bool OnlyRepeats(List<int> tokens)
    {
        if (tokens.Count < EarlyStoppingWindow)
        {
            return false;
        }

        var distinct = new HashSet<int>();
        for (int i = tokens.Count - EarlyStoppingWindow; i < tokens.Count; i++)
        {
            distinct.Add(tokens[i]);
            if (distinct.Count > _configuration.EarlyStoppingThreshold * EarlyStoppingWindow)
            {
                return false;
            }
        }

        return true;
    }
}
