using System.CommandLine;
using System.Text.Json;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary><c>mlf generate</c>: continues a prompt, streaming, or a file of prompts.</summary>
internal static class GenerateCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal, CancellationToken cancellationToken)
    {
        var options = new GenerateOptions();
        var command = new Command("generate", "Continues a prompt, or with --prompts all of a file.");
        options.AddTo(command);
        command.SetAction(parsed => options.IsJob(parsed)
            ? GenerateJob.Run(options.ReadJob(parsed), terminal, cancellationToken)
            : RunAsync(options.Read(parsed), terminal, cancellationToken).GetAwaiter().GetResult());
        return command;
    }

    private static async Task<int> RunAsync(GenerateSettings settings, Terminal terminal, CancellationToken cancellationToken)
    {
        using ModelSession session = ModelSession.Start(settings.Model, SessionLimits.One, terminal, cancellationToken);
        var request = new Request(RequestId.New(), settings.Prompt, settings.MaxTokens, cancellationToken)
        {
            PromptTokenIds = settings.PromptIds is { } ids ? ids : default(ReadOnlyMemory<int>?),
            Options = settings.Sampling,
        };
        GenerationResult result = await ResponseStream.ReadAsync(session, request, text => Show(text, settings, terminal), cancellationToken);

        ResponseTimings timings = ResponseTimings.Of(result);
        if (settings.Json)
        {
            var document = new GenerateDocument(
                request.GeneratedTokenIds, result.GeneratedText, result.LogProbs?.Select(LogProbDocument.Of).ToList(), result.Reason, timings);
            terminal.Output.Profile.Out.Writer.WriteLine(JsonSerializer.Serialize(document, GenerateJsonContext.Default.GenerateDocument));
        }
        else
        {
            terminal.Stream(Environment.NewLine);
            terminal.Error.Profile.Out.Writer.WriteLine(ResponseStream.Summarize(timings));
        }

        return ExitCode.Success;
    }

    private static void Show(string text, GenerateSettings settings, Terminal terminal)
    {
        if (!settings.Json)
        {
            terminal.Stream(text);
        }
    }
}
