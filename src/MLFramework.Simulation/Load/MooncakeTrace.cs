using System.Text.Json;
using System.Text.Json.Serialization;

namespace MLFramework.Simulation;

/// <summary>
/// Reads the JSON lines of the Mooncake traces: <c>timestamp</c> in milliseconds, <c>input_length</c>, <c>output_length</c> and
/// <c>hash_ids</c>, one per 512 tokens of the prompt, equal where the prompts are equal up to and including that block.
/// </summary>
/// <remarks>Qin et al., "Mooncake: Trading More Storage for Less Computation", FAST 2025.</remarks>
public static class MooncakeTrace
{
    /// <summary>Tokens that one hash id stands for; the last of a prompt may stand for fewer.</summary>
    public const int BlockTokens = 512;

    /// <summary>Reads line by line; times are as the trace gives them.</summary>
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
        double last = 0;
        int number = 0;
        while (reader.ReadLine() is { } line)
        {
            number++;
            if (line.Length == 0)
            {
                continue;
            }

            MooncakeRow row = Parse(line, source, number);
            if (row.Timestamp < last)
            {
                throw new TraceFormatException(source, number, $"timestamp {row.Timestamp} is before the line above; sort the trace by time.");
            }

            last = row.Timestamp;
            yield return new Arrival(TimeSpan.FromMilliseconds(row.Timestamp), Segments(row), row.OutputLength);
        }
    }

    private static MooncakeRow Parse(string line, string source, int number)
    {
        MooncakeRow? row;
        try
        {
            row = JsonSerializer.Deserialize(line, MooncakeJsonContext.Default.MooncakeRow);
        }
        catch (JsonException e)
        {
            throw new TraceFormatException(source, number, $"no JSON object of timestamp, input_length, output_length and hash_ids: {e.Message}", e);
        }

        string? defect = row switch
        {
            null => "null is no request.",
            { HashIds: null } => "hash_ids must be an array, not null.",
            _ when !(row.Timestamp >= 0 && row.Timestamp <= TimeSpan.MaxValue.TotalMilliseconds / 2) => $"timestamp must be milliseconds of 0 or more, not {row.Timestamp}.",
            { InputLength: < 1 or > Arrival.MaxTokens } => $"input_length must be 1 to {Arrival.MaxTokens}, not {row.InputLength}.",
            { OutputLength: < 1 or > Arrival.MaxTokens } => $"output_length must be 1 to {Arrival.MaxTokens}, not {row.OutputLength}.",
            _ when row.HashIds.Length != BlocksOf(row.InputLength) =>
                $"input_length {row.InputLength} needs {BlocksOf(row.InputLength)} hash_ids (one per {BlockTokens} tokens), not {row.HashIds.Length}.",
            _ => null,
        };
        return defect is null ? row! : throw new TraceFormatException(source, number, defect);
    }

    private static PromptSegment[] Segments(MooncakeRow row)
    {
        var segments = new PromptSegment[row.HashIds.Length];
        for (int i = 0; i < segments.Length; i++)
        {
            segments[i] = new PromptSegment(row.HashIds[i], Math.Min(BlockTokens, row.InputLength - (i * BlockTokens)));
        }

        return segments;
    }

    private static long BlocksOf(int tokens) => ((long)tokens + BlockTokens - 1) / BlockTokens;
}

/// <summary>A line of a Mooncake trace.</summary>
internal sealed record class MooncakeRow
{
    [JsonPropertyName("timestamp")]
    public required double Timestamp { get; init; }

    [JsonPropertyName("input_length")]
    public required int InputLength { get; init; }

    [JsonPropertyName("output_length")]
    public required int OutputLength { get; init; }

    [JsonPropertyName("hash_ids")]
    public required long[] HashIds { get; init; }
}
