using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>What <c>mlf generate</c> was asked for.</summary>
/// <param name="Model">The model.</param>
/// <param name="Prompt">The prompt; empty if <paramref name="PromptIds"/> is given.</param>
/// <param name="PromptIds">The prompt as token ids, to which nothing is added; null for text.</param>
/// <param name="MaxTokens">Most tokens to generate.</param>
/// <param name="Sampling">How to choose tokens.</param>
/// <param name="Json">Whether to print a document rather than the text.</param>
internal sealed record class GenerateSettings(ModelSettings Model, string Prompt, int[]? PromptIds, int MaxTokens, GenerationOptions Sampling, bool Json);

/// <summary>The options of <c>mlf generate</c>.</summary>
internal sealed class GenerateOptions
{
    private const int DefaultMaxTokens = 256;

    private readonly Argument<string?> _prompt = new("PROMPT") { Description = "The text to continue.", Arity = ArgumentArity.ZeroOrOne };
    private readonly ModelOptions _model = new();
    private readonly SamplingOptions _sampling = new(defaultTemperature: 0);
    private readonly Option<int[]?> _promptIds = Options.Parsed<int[]?>("--prompt-ids", "ID,ID,…", "The prompt as token ids; nothing is added to them.", ParseIds);
    private readonly Option<int?> _maxTokens = Options.Integer("--max-tokens", $"Most tokens to generate [{DefaultMaxTokens}].", 1, 1 << 24);
    private readonly Option<bool> _ignoreEos = new("--ignore-eos") { Description = "Go on after the model's end token, for measuring." };
    private readonly Option<int?> _logProbs = Options.Integer("--logprobs", "With --json: log-probabilities, and those of the K likeliest tokens.", 0, GenerationOptions.MaxTopLogProbs);
    private readonly Option<bool> _json = new("--json") { Description = "Print ids, text and times as JSON." };

    /// <summary>Adds the options and the rules between them.</summary>
    public void AddTo(Command command)
    {
        command.Add(_prompt);
        _model.AddTo(command);
        command.Add(_promptIds);
        command.Add(_maxTokens);
        _sampling.AddTo(command);
        command.Add(_ignoreEos);
        command.Add(_logProbs);
        command.Add(_json);
        command.Validators.Add(CheckCombination);
    }

    /// <summary>Reads the values of a command line that has been checked.</summary>
    public GenerateSettings Read(ParseResult parsed) => new(
        _model.Read(parsed),
        parsed.GetValue(_prompt) ?? string.Empty,
        // An array option that was not given is empty, not null.
        parsed.GetValue(_promptIds) is { Length: > 0 } ids ? ids : null,
        parsed.GetValue(_maxTokens) ?? DefaultMaxTokens,
        _sampling.Read(parsed) with { TopLogProbs = parsed.GetValue(_logProbs), IgnoreEos = parsed.GetValue(_ignoreEos) },
        parsed.GetValue(_json));

    private void CheckCombination(CommandResult result)
    {
        bool hasText = !string.IsNullOrEmpty(result.GetValue(_prompt)), hasIds = result.GetResult(_promptIds) is not null;
        if (hasText == hasIds)
        {
            result.AddError(hasText ? "PROMPT and --prompt-ids say the same thing twice; drop one." : "There is nothing to continue: give a PROMPT, or --prompt-ids.");
        }

        if (result.GetResult(_logProbs) is not null && !result.GetValue(_json))
        {
            result.AddError("--logprobs needs --json.");
        }
    }

    private static int[] ParseIds(string text) =>
        [.. text.Split(',').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : throw new FormatException("must be token ids, as 1,2,3"))];
}
