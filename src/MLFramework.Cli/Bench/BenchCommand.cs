using System.CommandLine;
using System.CommandLine.Help;

namespace MLFramework.Cli;

/// <summary><c>mlf bench</c>: measurements.</summary>
internal static class BenchCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal, CancellationToken cancellationToken)
    {
        var command = new Command("bench", "Measures what this machine does.") { EngineBenchCommand.Create(terminal, cancellationToken) };
        command.SetAction(parsed => new HelpAction().Invoke(parsed));
        return command;
    }
}
