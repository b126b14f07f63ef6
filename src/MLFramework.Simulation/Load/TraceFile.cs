namespace MLFramework.Simulation;

/// <summary>Reads a trace file of a format known by its extension: <c>.csv</c> is Azure's, <c>.jsonl</c> Mooncake's.</summary>
public static class TraceFile
{
    /// <summary>Reads the whole file.</summary>
    /// <param name="path">Where it is.</param>
    /// <returns>At least one request, in order of arrival.</returns>
    /// <exception cref="NotSupportedException">The extension is of no known format.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="TraceFormatException">A line is not what the format says, or there are none.</exception>
    public static IReadOnlyList<Arrival> Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        Func<TextReader, string, IEnumerable<Arrival>> format = Path.GetExtension(path).ToUpperInvariant() switch
        {
            ".CSV" => AzureTrace.Read,
            ".JSONL" => MooncakeTrace.Read,
            _ => throw new NotSupportedException($"'{path}' must end in .csv (Azure LLM inference trace) or .jsonl (Mooncake trace)."),
        };
        using var reader = new StreamReader(path);
        List<Arrival> arrivals = [.. format(reader, path)];
        return arrivals.Count > 0 ? arrivals : throw new TraceFormatException(path, 1, "the trace holds no requests.");
    }
}
