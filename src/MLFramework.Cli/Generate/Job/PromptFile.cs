namespace MLFramework.Cli;

/// <summary>A file of prompts, read as it is needed.</summary>
internal static class PromptFile
{
    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>Reads the prompts in order. Empty lines are no prompts.</summary>
    /// <param name="path">The file.</param>
    /// <param name="parser">Reads a line.</param>
    /// <exception cref="UsageException">The file cannot be read, or a line is no prompt; the message names the line.</exception>
    public static IEnumerable<PromptLine> Read(string path, PromptParser parser)
    {
        using LineReader reader = Open(path);
        for (long index = 0; TryReadPrompt(reader, path, out ReadOnlyMemory<byte> line); index++)
        {
            yield return Parse(path, parser, reader, line, index);
        }
    }

    private static LineReader Open(string path)
    {
        try
        {
            return new LineReader(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--prompts: {e.Message}", e);
        }
    }

    private static bool TryReadPrompt(LineReader reader, string path, out ReadOnlyMemory<byte> line)
    {
        try
        {
            while (reader.TryRead(out line))
            {
                if (reader.Number == 1 && line.Span.StartsWith(ByteOrderMark))
                {
                    line = line[ByteOrderMark.Length..];
                }

                if (line.Span.ContainsAnyExcept(" \t\r"u8))
                {
                    return true;
                }
            }

            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--prompts {path}: {e.Message}", e);
        }
    }

    private static PromptLine Parse(string path, PromptParser parser, LineReader reader, ReadOnlyMemory<byte> line, long index)
    {
        try
        {
            return parser.Parse(line, index, reader.Position);
        }
        catch (FormatException e)
        {
            throw new UsageException($"{path}:{reader.Number}: {e.Message}.", e);
        }
    }
}
