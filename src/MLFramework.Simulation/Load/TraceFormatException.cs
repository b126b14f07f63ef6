namespace MLFramework.Simulation;

/// <summary>A line of a trace is not what its format says. The message names file, line and defect.</summary>
public sealed class TraceFormatException : FormatException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="source">Name of the file.</param>
    /// <param name="line">Line, from 1.</param>
    /// <param name="defect">What is wrong there and what would be right.</param>
    /// <param name="inner">The parser's own error, if it had one.</param>
    public TraceFormatException(string source, int line, string defect, Exception? inner = null)
        : base($"{source}({line}): {defect}", inner)
    {
        SourceName = source;
        Line = line;
    }

    /// <summary>Name of the file.</summary>
    public string SourceName { get; }

    /// <summary>Line, from 1.</summary>
    public int Line { get; }
}
