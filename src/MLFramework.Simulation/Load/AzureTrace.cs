using System.Globalization;

namespace MLFramework.Simulation;

/// <summary>
/// Reads the CSV of the Azure LLM inference traces: <c>TIMESTAMP,ContextTokens,GeneratedTokens</c>, one request a line, wall-clock time
/// with seven fractional digits. Prompts share nothing: the trace does not say what is in them.
/// </summary>
/// <remarks>Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024.</remarks>
public static class AzureTrace
{
    private const string Header = "TIMESTAMP,ContextTokens,GeneratedTokens";
    private const string TimestampFormat = "yyyy-MM-dd HH:mm:ss.fffffff";

    /// <summary>Reads line by line; the first request arrives at time zero.</summary>
    /// <param name="reader">The text; line ends of any kind.</param>
    /// <param name="source">Name of the file, for errors.</param>
    /// <returns>Requests in order of arrival, parsed as they are asked for.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="TraceFormatException">While enumerating: a line is not what the format says, or goes back in time.</exception>
    public static IEnumerable<Arrival> Read(TextReader reader, string source)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(source);
        return ReadLines(reader, source);
    }

    private static IEnumerable<Arrival> ReadLines(TextReader reader, string source)
    {
        if (reader.ReadLine() != Header)
        {
            throw new TraceFormatException(source, 1, $"the first line must be '{Header}'.");
        }

        DateTime? origin = null;
        DateTime last = default;
        int number = 1;
        while (reader.ReadLine() is { } line)
        {
            number++;
            if (line.Length == 0)
            {
                continue;
            }

            (DateTime at, int context, int generated) = Parse(line, source, number);
            origin ??= at;
            if (at < last)
            {
                throw new TraceFormatException(source, number, $"{at:O} is before the line above; sort the trace by time.");
            }

            last = at;
            yield return new Arrival(at - origin.Value, [new PromptSegment(number, context)], generated);
        }
    }

    private static (DateTime At, int Context, int Generated) Parse(string line, string source, int number)
    {
        ReadOnlySpan<char> rest = line;
        Span<Range> fields = stackalloc Range[4];
        if (rest.Split(fields, ',') != 3)
        {
            throw new TraceFormatException(source, number, $"expected three fields ({Header}), found '{line}'.");
        }

        if (!DateTime.TryParseExact(rest[fields[0]], TimestampFormat, CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime at))
        {
            throw new TraceFormatException(source, number, $"'{rest[fields[0]]}' is no timestamp of the form {TimestampFormat}.");
        }

        return (at, ParseTokens(rest[fields[1]], "ContextTokens"), ParseTokens(rest[fields[2]], "GeneratedTokens"));

        int ParseTokens(ReadOnlySpan<char> field, string name) =>
            int.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out int tokens) && tokens is >= 1 and <= Arrival.MaxTokens
                ? tokens
                : throw new TraceFormatException(source, number, $"{name} must be a whole number from 1 to {Arrival.MaxTokens}, not '{field}'.");
    }
}
