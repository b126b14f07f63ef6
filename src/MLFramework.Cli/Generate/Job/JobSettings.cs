using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>What <c>mlf generate --prompts</c> was asked for.</summary>
/// <param name="Model">The model.</param>
/// <param name="Prompts">File of prompts, one JSON object per line.</param>
/// <param name="Output">File of results.</param>
/// <param name="MaxConcurrency">Most requests that run at once.</param>
/// <param name="KVTokens">Tokens that the KV cache has room for; null for as many as that needs, within a share of the memory.</param>
/// <param name="Restarts">Whether to compute all again, whatever is there.</param>
/// <param name="WithTimings">Whether results say how long they took.</param>
/// <param name="Defaults">What prompts have that do not say otherwise.</param>
/// <param name="Json">Whether to print the summary as JSON.</param>
internal sealed record class JobSettings(
    ModelSettings Model, string Prompts, string Output, int MaxConcurrency, int? KVTokens, bool Restarts, bool WithTimings, PromptDefaults Defaults, bool Json)
{
    /// <summary>Requests at once where nobody says how many.</summary>
    public const int DefaultConcurrency = 32;

    /// <summary>Prompts that are read before the first of them is done: bounds the memory, and gives the scheduler some to choose from.</summary>
    public int ReadAhead => Math.Max(64, 8 * MaxConcurrency);

    /// <summary>All that results depend on beside the prompts themselves.</summary>
    /// <exception cref="UsageException">The model cannot be read.</exception>
    public string Fingerprint()
    {
        try
        {
            using GgufFile file = GgufFile.Open(Model.Path);
            GenerationOptions options = Defaults.Options;
            return FormattableString.Invariant(
                $"{file.Metadata.FindString("general.name")}|{file.ByteLength}|{Model.Context}|{Defaults.MaxTokens}|{Defaults.Seed}|{options.Temperature}|{options.TopK}|{options.TopP}|{options.IgnoreEos}|{options.TopLogProbs}");
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException(e.Message, e);
        }
    }
}
