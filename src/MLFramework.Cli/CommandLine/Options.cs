using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace MLFramework.Cli;

/// <summary>Options that check themselves: a value out of range is an error of the command line, with the range in the message.</summary>
internal static class Options
{
    /// <summary>A whole number within bounds.</summary>
    public static Option<int?> Integer(string name, string description, int min, int max) =>
        Parsed<int?>(name, "N", description, text =>
            int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= min && value <= max
                ? value
                : throw new FormatException($"must be a whole number from {min} to {max}"));

    /// <summary>A number within bounds.</summary>
    public static Option<double?> Number(string name, string description, double min, double max) =>
        Parsed<double?>(name, "X", description, text =>
            double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= min && value <= max
                ? value
                : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"must be a number from {min} to {max}")));

    /// <summary>A duration with its unit.</summary>
    public static Option<TimeSpan?> Duration(string name, string description) =>
        Parsed<TimeSpan?>(name, "TIME", description, text => DurationText.Parse(text));

    /// <summary>One of a few words, each with its meaning.</summary>
    public static Option<T?> Choice<T>(string name, string description, IReadOnlyDictionary<string, T> choices)
        where T : notnull
    {
        Option<T?> option = Parsed<T?>(name, string.Join('|', choices.Keys), description, text =>
            choices.TryGetValue(text, out T? value) ? value : throw new FormatException($"must be one of {string.Join(", ", choices.Keys)}"));
        option.CompletionSources.Add([.. choices.Keys]);
        return option;
    }

    /// <summary>Anything that a function can parse; its <see cref="FormatException"/> says what is wrong.</summary>
    public static Option<T> Parsed<T>(string name, string helpName, string description, Func<string, T> parse) => new(name)
    {
        Description = description,
        HelpName = helpName,
        Arity = ArgumentArity.ExactlyOne,
        CustomParser = result => Parse(name, result, parse),
    };

    private static T? Parse<T>(string name, ArgumentResult result, Func<string, T> parse)
    {
        string text = result.Tokens[0].Value;
        try
        {
            return parse(text);
        }
        catch (FormatException e)
        {
            result.AddError($"{name} {text}: {e.Message}.");
            return default;
        }
    }
}
