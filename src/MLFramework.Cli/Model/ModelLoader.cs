using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary>Loads models for commands, with a bar where loading takes long enough to wonder.</summary>
internal static class ModelLoader
{
    /// <summary>Below it a model is there before a bar could be read.</summary>
    private const long LeastBytesWithBar = 64 << 20;

    /// <summary>Loads a model.</summary>
    /// <param name="path">The GGUF file.</param>
    /// <param name="context">Most tokens that it shall see, if it sees as many.</param>
    /// <param name="terminal">Where to show the bar; null for none.</param>
    /// <param name="cancellationToken">Ctrl+C.</param>
    /// <exception cref="UsageException">The file cannot be read or used, or does not fit into memory.</exception>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static CpuModel Load(string path, int context, Terminal? terminal, CancellationToken cancellationToken)
    {
        try
        {
            GgufFile file = GgufFile.Open(path);
            return terminal is null || file.ByteLength < LeastBytesWithBar
                ? CpuModel.Load(file, context, cancellationToken: cancellationToken)
                : ProgressDisplay.Watch(terminal, "Loading", 1, bar => CpuModel.Load(file, context, progress: bar is null ? null : new Bar(bar), cancellationToken: cancellationToken));
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            throw new UsageException(e.Message, e);
        }
    }

    private sealed class Bar(IProgress<ProgressStep> steps) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => steps.Report(new ProgressStep((double)value.PackedBytes / value.TotalBytes));
    }
}
