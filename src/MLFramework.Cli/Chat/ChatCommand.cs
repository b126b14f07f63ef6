using System.CommandLine;
using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary><c>mlf chat</c>: a conversation in the terminal. Each turn continues from the cached keys and values of those before.</summary>
internal static class ChatCommand
{
    private const int DefaultMaxTokens = 512;
    private const string Clear = "/clear", Exit = "/exit";

    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal, CancellationToken cancellationToken)
    {
        var model = new ModelOptions();
        var sampling = new SamplingOptions(defaultTemperature: 0);
        Option<string?> system = Options.Parsed<string?>("--system", "TEXT", "What the assistant is told first [nothing].", text => text);
        Option<int?> maxTokens = Options.Integer("--max-tokens", $"Most tokens of an answer [{DefaultMaxTokens}].", 1, 1 << 24);
        var command = new Command("chat", $"Talks with a model, line by line. {Clear} forgets the conversation, {Exit} or the end of the input ends it.");
        model.AddTo(command);
        command.Add(system);
        command.Add(maxTokens);
        sampling.AddTo(command);
        command.SetAction(parsed =>
        {
            using ModelSession session = StartSession(model.Read(parsed), terminal, cancellationToken, out IChatTemplate template);
            var chat = new Chat(session, template, parsed.GetValue(system), parsed.GetValue(maxTokens) ?? DefaultMaxTokens, sampling.Read(parsed), terminal);
            chat.RunAsync(cancellationToken).GetAwaiter().GetResult();
            return ExitCode.Success;
        });
        return command;
    }

    private static ModelSession StartSession(ModelSettings settings, Terminal terminal, CancellationToken cancellationToken, out IChatTemplate template)
    {
        ModelSession session = ModelSession.Start(settings, SessionLimits.One, terminal, cancellationToken);
        try
        {
            template = session.LoadChatTemplate();
            session.WarmUp(cancellationToken);
            return session;
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    private sealed class Chat(ModelSession session, IChatTemplate template, string? system, int maxTokens, GenerationOptions sampling, Terminal terminal)
    {
        private readonly List<ChatMessage> _messages = [];

        public async Task RunAsync(CancellationToken cancellationToken)
        {
            Forget();
            Prompt();
            while (await terminal.Input.ReadLineAsync(cancellationToken) is { } line && line != Exit)
            {
                if (line == Clear)
                {
                    Forget();
                }
                else if (!string.IsNullOrWhiteSpace(line))
                {
                    await AnswerAsync(line, cancellationToken);
                }

                Prompt();
            }
        }

        private void Prompt()
        {
            if (terminal.ShowsProgress)
            {
                terminal.Error.Profile.Out.Writer.Write("> ");
            }
        }

        private void Forget()
        {
            _messages.Clear();
            if (system is not null)
            {
                _messages.Add(new ChatMessage("system", system));
            }
        }

        private async Task AnswerAsync(string question, CancellationToken cancellationToken)
        {
            _messages.Add(new ChatMessage("user", question));
            int[] prompt = session.Model.Tokenizer.Encode(template.Render(_messages, addGenerationPrompt: true), addSpecial: true);
            if (prompt.Length >= session.Context)
            {
                _messages.RemoveAt(_messages.Count - 1);
                terminal.WriteError($"with this the conversation has {prompt.Length} tokens, and {session.Context - 1} fit: say it shorter, or {Clear}.");
                return;
            }

            var request = new Request(RequestId.New(), question, maxTokens, cancellationToken) { PromptTokenIds = prompt, Options = sampling };
            GenerationResult result = await ResponseStream.ReadAsync(session, request, terminal.Stream, cancellationToken);
            _messages.Add(new ChatMessage("assistant", result.GeneratedText));
            terminal.Stream(Environment.NewLine);
            terminal.Error.Profile.Out.Writer.WriteLine(ResponseStream.Summarize(ResponseTimings.Of(result)));
        }
    }
}
