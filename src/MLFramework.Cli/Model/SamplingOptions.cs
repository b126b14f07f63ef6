using System.CommandLine;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>The options that say how tokens are chosen.</summary>
/// <param name="defaultTemperature">Temperature where none is given.</param>
internal sealed class SamplingOptions(float defaultTemperature)
{
    private readonly Option<double?> _temperature = Options.Number("--temperature", FormattableString.Invariant($"0 takes the likeliest token, more is livelier [{defaultTemperature}]."), 0, 2);
    private readonly Option<int?> _topK = Options.Integer("--top-k", "Choose among the K likeliest tokens [all].", 1, int.MaxValue);
    private readonly Option<double?> _topP = Options.Number("--top-p", "Choose among the likeliest tokens that reach this probability [1].", 1e-6, 1);
    private readonly Option<int?> _seed = Options.Integer("--seed", "The same seed gives the same response [a new one each time].", 0, int.MaxValue);

    /// <summary>Adds the options.</summary>
    public void AddTo(Command command)
    {
        command.Add(_temperature);
        command.Add(_topK);
        command.Add(_topP);
        command.Add(_seed);
    }

    /// <summary>Reads the values of a command line that has been checked.</summary>
    public GenerationOptions Read(ParseResult parsed) => GenerationOptions.Default with
    {
        Temperature = (float?)parsed.GetValue(_temperature) ?? defaultTemperature,
        TopK = parsed.GetValue(_topK),
        TopP = (float?)parsed.GetValue(_topP) ?? 1,
        Seed = parsed.GetValue(_seed),
    };
}
