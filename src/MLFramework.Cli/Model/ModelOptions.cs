using System.CommandLine;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary>Which model to run, and on what.</summary>
/// <param name="Path">The GGUF file.</param>
/// <param name="Context">Most tokens of a prompt with its response; null for the model's own limit, as far as <see cref="ModelSession.LargestDefaultContext"/>.</param>
/// <param name="Threads">Threads that compute; null for all.</param>
/// <param name="KVType">How keys and values are stored.</param>
internal sealed record class ModelSettings(string Path, int? Context, int? Threads, KVElementType KVType = KVElementType.F16);

/// <summary>The options of commands that run a model.</summary>
internal sealed class ModelOptions
{
    private readonly Option<string?> _model = NewModelOption();

    private readonly Option<int?> _context = Options.Integer(
        "--context", $"Most tokens of prompt and response together [the model's limit, at most {ModelSession.LargestDefaultContext}].", 2, 1 << 24);

    private readonly Option<int?> _threads = NewThreadsOption();
    private readonly KVTypeOption _kvType = new();

    /// <summary>The option that names a model.</summary>
    public static Option<string?> NewModelOption() =>
        Options.Parsed<string?>("--model", "FILE", "A GGUF model; of a split one any file [the model that comes with mlf].", text =>
            text.Length > 0 ? text : throw new FormatException("must name a file"));

    /// <summary>The option that says how many threads compute.</summary>
    public static Option<int?> NewThreadsOption() => Options.Integer("--threads", "Threads that compute [all that the process may use].", 1, 1024);

    /// <summary>Adds the options.</summary>
    public void AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_context);
        command.Add(_threads);
        _kvType.AddTo(command);
    }

    /// <summary>Reads the values of a command line that has been checked.</summary>
    public ModelSettings Read(ParseResult parsed) => new(parsed.GetValue(_model) ?? EmbeddedModel.Path, parsed.GetValue(_context), parsed.GetValue(_threads), _kvType.Read(parsed));
}
