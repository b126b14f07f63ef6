namespace MLFramework.Cli;

/// <summary>Appends results to those that are there. Each is with the system when the next is computed: ending the process loses at most a part of one.</summary>
internal sealed class ResultWriter : IDisposable
{
    private readonly JobSettings _settings;
    private readonly FileStream _stream;

    /// <summary>Opens the results, and cuts off what follows those that are done.</summary>
    /// <param name="settings">Where they are.</param>
    /// <param name="finished">What is done.</param>
    /// <exception cref="UsageException">They cannot be written, or another process writes them.</exception>
    public ResultWriter(JobSettings settings, FinishedResults finished)
    {
        (_settings, Count) = (settings, finished.Count);
        try
        {
            _stream = new FileStream(settings.Output, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0);
            _stream.SetLength(finished.Length);
            _stream.Seek(0, SeekOrigin.End);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _stream?.Dispose();
            throw new UsageException($"--out: {e.Message}", e);
        }
    }

    /// <summary>Results that are there.</summary>
    public long Count { get; private set; }

    /// <summary>Appends one.</summary>
    /// <exception cref="UsageException">It cannot be written.</exception>
    public void Write(JobOutcome outcome)
    {
        try
        {
            _stream.Write(ResultLine.Write(outcome, _settings.WithTimings).Span);
            Count++;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--out {_settings.Output}: {e.Message} {Count} results are there; the same command goes on from them.", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();
}
