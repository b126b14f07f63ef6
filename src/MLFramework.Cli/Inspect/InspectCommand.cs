using System.CommandLine;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary><c>mlf inspect</c>: what is in a model file.</summary>
internal static class InspectCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var model = new Argument<string?>("MODEL") { Description = "A GGUF model; of a split one any file [the model that comes with mlf].", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("inspect", "Shows a model's metadata, tensors and memory need.") { model };
        command.SetAction(parsed => Run(parsed.GetValue(model) ?? EmbeddedModel.Path, terminal));
        return command;
    }

    private static int Run(string path, Terminal terminal)
    {
        try
        {
            using GgufFile file = GgufFile.Open(path);
            terminal.Stream(GgufInspector.Inspect(file).ToText());
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException(e.Message, e);
        }

        return ExitCode.Success;
    }
}
