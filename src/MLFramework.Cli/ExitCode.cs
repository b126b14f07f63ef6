namespace MLFramework.Cli;

/// <summary>What the process tells its caller.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>The command could not do what it was asked.</summary>
    public const int Failure = 1;

    /// <summary>What it was asked makes no sense: an option, or the contents of a file given.</summary>
    public const int Usage = 2;

    /// <summary>Interrupted by Ctrl+C: 128 + SIGINT, as shells have it.</summary>
    public const int Interrupted = 130;
}
