namespace MLFramework.Cli.Tests;

/// <summary>Runs command lines without a process.</summary>
internal static class Shell
{
    /// <summary>Runs <c>mlf</c> with these words.</summary>
    public static (int ExitCode, string Output, string Error) Mlf(params string[] args) => Mlf(CancellationToken.None, args);

    public static (int ExitCode, string Output, string Error) Mlf(CancellationToken cancellationToken, params string[] args) => Mlf(string.Empty, cancellationToken, args);

    /// <summary>Runs <c>mlf</c> and types something.</summary>
    public static (int ExitCode, string Output, string Error) Mlf(string input, CancellationToken cancellationToken, params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var terminal = new Terminal(Terminal.ForWriter(output), Terminal.ForWriter(error), ShowsProgress: false) { Input = new StringReader(input) };
        int exitCode = MlfCommand.Run(args, terminal, cancellationToken);
        return (exitCode, output.ToString(), error.ToString());
    }
}
