using System.Text.Json;

namespace MLFramework.Cli;

/// <summary>How far the results of an earlier run go.</summary>
/// <param name="Count">Prompts that are done.</param>
/// <param name="Failed">Of these, prompts that failed.</param>
/// <param name="Length">Bytes of their lines. What follows is half a line.</param>
internal readonly record struct FinishedResults(long Count, long Failed, long Length);

/// <summary>Compares the results of an earlier run with the prompts, line by line.</summary>
/// <param name="path">The file of results; empty if there is none.</param>
/// <exception cref="UsageException">It cannot be read.</exception>
internal sealed class FinishedResultReader(string path) : IDisposable
{
    private readonly LineReader? _reader = File.Exists(path) ? Open(path) : null;
    private bool _isAtEnd;

    /// <summary>What is done so far.</summary>
    public FinishedResults Finished { get; private set; }

    /// <summary>Takes the next prompt, and the result that should be its.</summary>
    /// <exception cref="UsageException">The next line is another prompt's result, or none at all.</exception>
    public void Compare(PromptLine prompt)
    {
        if (_isAtEnd || _reader is null || !_reader.TryRead(out ReadOnlyMemory<byte> line))
        {
            _isAtEnd = true;
            return;
        }

        byte[] beginning = ResultLine.Beginning(prompt);
        if (!_reader.IsWhole)
        {
            // The run before was ended while it wrote: this line is computed again. Anything else that has no line feed is not ours to overwrite.
            int common = Math.Min(line.Length, beginning.Length);
            _isAtEnd = line.Span[..common].SequenceEqual(beginning.AsSpan(0, common)) ? true : throw Mismatch(line, prompt);
            return;
        }

        if (!line.Span.StartsWith(beginning))
        {
            throw Mismatch(line, prompt);
        }

        bool failed = Parse(line).TryGetProperty(ResultLine.ErrorMember, out _);
        Finished = new FinishedResults(Finished.Count + 1, Finished.Failed + (failed ? 1 : 0), _reader.Position);
    }

    /// <summary>Checks that no results follow that of the last prompt.</summary>
    /// <exception cref="UsageException">There are more.</exception>
    public void End()
    {
        if (!_isAtEnd && _reader is not null && _reader.TryRead(out _))
        {
            throw new UsageException($"{path}:{_reader.Number}: there are more results than prompts; {Advice}.");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _reader?.Dispose();

    private const string Advice = "give back the prompts and options that it was begun with, name another file, or compute all again with --restart";

    private static LineReader Open(string path)
    {
        try
        {
            return new LineReader(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--out: {e.Message}", e);
        }
    }

    private JsonElement Parse(ReadOnlyMemory<byte> line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new UsageException($"{path}:{_reader!.Number}: the line is damaged ({e.Message}); compute all again with --restart, or cut the file before this line.", e);
        }
    }

    private UsageException Mismatch(ReadOnlyMemory<byte> line, PromptLine prompt)
    {
        string place = $"{path}:{_reader!.Number}";
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty("input", out _) && root.TryGetProperty("index", out JsonElement index))
            {
                return new UsageException(index.ValueKind == JsonValueKind.Number && index.TryGetInt64(out long n) && n == prompt.Index
                    ? $"{place}: prompt {prompt.Index}, the model or an option has changed since this was computed; {Advice}."
                    : $"{place}: this should be the result of prompt {prompt.Index}; {Advice}.");
            }
        }
        catch (JsonException)
        {
            return NoResult();
        }

        return NoResult();

        UsageException NoResult() => new($"{place}: this is no result of mlf generate; name another file, or replace it with --restart.");
    }
}
