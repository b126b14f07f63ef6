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
    private readonly Option<int?> _logProbs = Options.Integer("--logprobs", "With --json or --prompts: log-probabilities, and those of the K likeliest tokens.", 0, GenerationOptions.MaxTopLogProbs);
    private readonly Option<bool> _json = new("--json") { Description = "Print ids, text and times, or the summary of a file of prompts, as JSON." };
    private readonly Option<string?> _prompts = Options.Parsed<string?>("--prompts", "FILE", "Prompts, one JSON object per line: prompt, promptIds or messages, and what of the other options is its own.", NotEmpty);
    private readonly Option<string?> _out = Options.Parsed<string?>("--out", "FILE", "With --prompts: the results, a line each, in order. What is there already is not computed again.", NotEmpty);
    private readonly Option<int?> _maxConcurrency = Options.Integer("--max-concurrency", $"With --prompts: most requests that run together [{JobSettings.DefaultConcurrency}].", 1, 1024);
    private readonly Option<int?> _kvTokens = Options.Integer("--kv-tokens", "With --prompts: tokens that the KV cache has room for [what they need, within a quarter of the memory].", 2, 1 << 30);
    private readonly Option<bool> _restart = new("--restart") { Description = "With --prompts: compute all again, and replace the results." };
    private readonly Option<bool> _timings = new("--timings") { Description = "With --prompts: add times to the results, which are then not the same in every run." };

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
        foreach (Option option in (Option[])[_prompts, _out, _maxConcurrency, _kvTokens, _restart, _timings])
        {
            command.Add(option);
        }

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

    /// <summary>Whether a file of prompts is given.</summary>
    public bool IsJob(ParseResult parsed) => parsed.GetResult(_prompts) is not null;

    /// <summary>Reads the values of a command line with a file of prompts that has been checked.</summary>
    public JobSettings ReadJob(ParseResult parsed)
    {
        GenerationOptions options = _sampling.Read(parsed) with { TopLogProbs = parsed.GetValue(_logProbs), IgnoreEos = parsed.GetValue(_ignoreEos) };
        return new JobSettings(
            _model.Read(parsed),
            parsed.GetValue(_prompts)!,
            parsed.GetValue(_out)!,
            parsed.GetValue(_maxConcurrency) ?? JobSettings.DefaultConcurrency,
            parsed.GetValue(_kvTokens),
            parsed.GetValue(_restart),
            parsed.GetValue(_timings),
            new PromptDefaults(parsed.GetValue(_maxTokens) ?? DefaultMaxTokens, options with { Seed = null }, options.Seed ?? 0),
            parsed.GetValue(_json));
    }

    private void CheckCombination(CommandResult result)
    {
        bool isJob = result.GetResult(_prompts) is not null;
        if (isJob)
        {
            CheckJob(result);
            return;
        }

        foreach (Option option in (Option[])[_out, _maxConcurrency, _kvTokens, _restart, _timings])
        {
            if (result.GetResult(option) is { Implicit: false })
            {
                result.AddError($"{option.Name} needs --prompts.");
            }
        }

        bool hasText = !string.IsNullOrEmpty(result.GetValue(_prompt)), hasIds = result.GetResult(_promptIds) is not null;
        if (hasText == hasIds)
        {
            result.AddError(hasText ? "PROMPT and --prompt-ids say the same thing twice; drop one." : "There is nothing to continue: give a PROMPT, --prompt-ids, or a file of --prompts.");
        }

        if (result.GetResult(_logProbs) is not null && !result.GetValue(_json))
        {
            result.AddError("--logprobs needs --json.");
        }
    }

    private void CheckJob(CommandResult result)
    {
        if (!string.IsNullOrEmpty(result.GetValue(_prompt)) || result.GetResult(_promptIds) is not null)
        {
            result.AddError("--prompts names a file of prompts; drop PROMPT and --prompt-ids, or put them into the file.");
        }

        if (result.GetResult(_out) is null)
        {
            result.AddError("--prompts needs --out FILE for the results.");
        }
    }

    private static string NotEmpty(string text) => text.Length > 0 ? text : throw new FormatException("must name a file");

    private static int[] ParseIds(string text) =>
        [.. text.Split(',').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : throw new FormatException("must be token ids, as 1,2,3"))];
}
