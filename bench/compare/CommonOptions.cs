using System.CommandLine;
using System.Globalization;

namespace MLFramework.Compare;

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    /// <summary>Threads of each engine.</summary>
    public static Option<int> Threads() => AtLeastOne("--threads", "Threads of each engine.", Environment.ProcessorCount);

    /// <summary>Where random numbers begin.</summary>
    public static Option<int> Seed() => new("--seed") { Description = "Of tokens and block tables.", DefaultValueFactory = _ => 1 };

    /// <summary>A whole number from 1.</summary>
    public static Option<int> AtLeastOne(string name, string description, int standard)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => standard };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1) result.AddError($"{name} must be at least 1.");
        });
        return option;
    }

    /// <summary>Numbers with commas between them, each from 1 to a bound; <c>none</c> for an empty list.</summary>
    public static Option<int[]> Numbers(string name, string description, int most, int[] standard) => new(name)
    {
        Description = description,
        HelpName = "N,N,…",
        DefaultValueFactory = _ => standard,
        CustomParser = result =>
        {
            try
            {
                return ParseNumbers(result.Tokens[0].Value, most);
            }
            catch (FormatException e)
            {
                result.AddError($"{name}: {e.Message}.");
                return [];
            }
        },
    };

    /// <summary>Reads such a list.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    internal static int[] ParseNumbers(string text, int most)
    {
        if (text == "none") return [];
        int[] numbers = [.. text.Split(',').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0)];
        return Array.TrueForAll(numbers, number => number >= 1 && number <= most)
            ? numbers : throw new FormatException($"'{text}' is no list of whole numbers from 1 to {most}, such as 1,4,8; 'none' leaves them out");
    }
}
