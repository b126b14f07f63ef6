using Spectre.Console;

namespace MLFramework.Cli;

/// <summary>Where a command writes: results to <see cref="Output"/>, everything else to <see cref="Error"/>.</summary>
/// <param name="Output">Standard output.</param>
/// <param name="Error">Standard error.</param>
/// <param name="ShowsProgress">Whether somebody watches standard error.</param>
internal sealed record class Terminal(IAnsiConsole Output, IAnsiConsole Error, bool ShowsProgress)
{
    /// <summary>Columns of a table that is not shown on a terminal.</summary>
    private const int RedirectedWidth = 100;

    /// <summary>Where a conversation is read from.</summary>
    public TextReader Input { get; init; } = TextReader.Null;

    /// <summary>The process's own streams.</summary>
    public static Terminal ForProcess() => new(
        ForWriter(Console.Out, Console.IsOutputRedirected),
        ForWriter(Console.Error, Console.IsErrorRedirected),
        ShowsProgress: !Console.IsErrorRedirected)
    {
        Input = Console.In,
    };

    /// <summary>A stream of plain text, for files, pipes and tests.</summary>
    public static IAnsiConsole ForWriter(TextWriter writer, bool isRedirected = true)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = isRedirected ? AnsiSupport.No : AnsiSupport.Detect,
            Interactive = isRedirected ? InteractionSupport.No : InteractionSupport.Detect,
        });
        if (isRedirected)
        {
            console.Profile.Width = RedirectedWidth;
        }

        return console;
    }

    /// <summary>Writes a piece of a response, at once and as it is.</summary>
    public void Stream(string text)
    {
        TextWriter writer = Output.Profile.Out.Writer;
        writer.Write(text);
        writer.Flush();
    }

    /// <summary>Says what went wrong, on one line that tools can find.</summary>
    public void WriteError(string message) => Error.Profile.Out.Writer.WriteLine($"mlf: {message}");
}
