using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;

namespace MLFramework.Cli;

/// <summary>The command <c>mlf</c>: finds the subcommand and turns its endings into exit codes.</summary>
internal static class MlfCommand
{
    /// <summary>Parses and runs one command line.</summary>
    /// <param name="args">Words after <c>mlf</c>.</param>
    /// <param name="terminal">Where to write.</param>
    /// <param name="cancellationToken">Ctrl+C.</param>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static int Run(string[] args, Terminal terminal, CancellationToken cancellationToken = default)
    {
        var root = new RootCommand("Continuous batching inference for .NET.") { HelpName = "mlf" };
        root.Add(GenerateCommand.Create(terminal, cancellationToken));
        root.Add(ChatCommand.Create(terminal, cancellationToken));
        root.Add(InspectCommand.Create(terminal));
        root.Add(BenchCommand.Create(terminal, cancellationToken));
        root.Add(MakeModelCommand.Create(terminal, cancellationToken));
        root.Add(SimulateCommand.Create(terminal, cancellationToken));
        root.SetAction(parsed => new HelpAction().Invoke(parsed));

        ParseResult result = root.Parse(args);
        if (result.Action is ParseErrorAction)
        {
            return ReportUsage(result, terminal);
        }

        var streams = new InvocationConfiguration
        {
            Output = terminal.Output.Profile.Out.Writer,
            Error = terminal.Error.Profile.Out.Writer,
            EnableDefaultExceptionHandler = false,
        };
        try
        {
            return result.Invoke(streams);
        }
        catch (UsageException e)
        {
            terminal.WriteError(e.Message);
            return ExitCode.Usage;
        }
        catch (OperationCanceledException)
        {
            terminal.WriteError("interrupted.");
            return ExitCode.Interrupted;
        }
        catch (Exception e)
        {
            terminal.WriteError($"this is a defect of mlf, please report it: {e}");
            return ExitCode.Failure;
        }
    }

    private static int ReportUsage(ParseResult result, Terminal terminal)
    {
        foreach (string message in result.Errors.Select(e => e.Message).Distinct())
        {
            terminal.WriteError(message);
        }

        string command = "mlf";
        for (SymbolResult? at = result.CommandResult; at is CommandResult { Command: not RootCommand } inner; at = inner.Parent)
        {
            command = command.Insert("mlf".Length, $" {inner.Command.Name}");
        }

        terminal.WriteError($"'{command} --help' lists what is possible.");
        return ExitCode.Usage;
    }
}
