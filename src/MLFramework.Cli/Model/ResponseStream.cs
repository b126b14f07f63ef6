using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>Runs one request to its end, showing its text as it comes.</summary>
internal static class ResponseStream
{
    /// <summary>Generates.</summary>
    /// <param name="session">The model.</param>
    /// <param name="request">What to generate.</param>
    /// <param name="show">Receives the text in pieces.</param>
    /// <param name="cancellationToken">Ctrl+C.</param>
    /// <returns>The result with its times.</returns>
    /// <exception cref="UsageException">The prompt is empty, too long, or holds ids that the model does not know.</exception>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static async Task<GenerationResult> ReadAsync(ModelSession session, Request request, Action<string> show, CancellationToken cancellationToken)
    {
        GenerationResult? result = null;
        try
        {
            await foreach (GenerationChunk chunk in session.Client.StreamAsync(request, cancellationToken: cancellationToken))
            {
                show(chunk.Text);
                result = chunk.Result;
            }
        }
        catch (PromptTooLongException e)
        {
            throw new UsageException($"the prompt has {e.PromptTokens} tokens, and at most {e.Limit} fit: shorten it, or raise --context as far as the model goes.", e);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message, e);
        }

        return result!;
    }

    /// <summary>What it took, in one line.</summary>
    public static string Summarize(ResponseTimings timings) => FormattableString.Invariant(
        $"{timings.GeneratedTokens} tokens{(timings.TokensPerSecond is { } speed ? $" at {speed:0.0} tokens/s" : string.Empty)}, first after {timings.TimeToFirstTokenMs:0.0} ms (prompt of {timings.PromptTokens}{(timings.CachedPromptTokens > 0 ? $", {timings.CachedPromptTokens} cached" : string.Empty)})");
}
