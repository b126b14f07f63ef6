using System.CommandLine;
using System.Globalization;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary>What <c>mlf bench engine</c> was asked for.</summary>
/// <param name="Path">The model.</param>
/// <param name="Batches">Batch sizes of decoding.</param>
/// <param name="Prompt">Tokens of the prompt that is computed; null for 512, or as many as the model sees.</param>
/// <param name="Context">Tokens that each decoding request has computed; null for 256, or as many as the model sees.</param>
/// <param name="Steps">Steps measured per batch size.</param>
/// <param name="Threads">Threads that compute; null for all.</param>
/// <param name="KVType">How keys and values are stored.</param>
/// <param name="Json">Whether to print rows rather than a table.</param>
internal sealed record class EngineBenchSettings(string Path, int[] Batches, int? Prompt, int? Context, int Steps, int? Threads, KVElementType KVType, bool Json);

/// <summary>The options of <c>mlf bench engine</c>.</summary>
internal sealed class EngineBenchOptions
{
    private const int LargestBatch = 1024, LongestSequence = 1 << 20, MostSteps = 10_000;

    private static readonly int[] DefaultBatches = [1, 4, 8, 16, 32, 64];

    private readonly Option<string?> _model = ModelOptions.NewModelOption();
    private readonly Option<int[]?> _batches = Options.Parsed<int[]?>("--batch", "N,N,…", $"Batch sizes of decoding [{string.Join(',', DefaultBatches)}].", ParseBatches);
    private readonly Option<int?> _prompt = Options.Integer("--prompt", "Tokens of the prompt that is computed [512].", 1, LongestSequence);
    private readonly Option<int?> _context = Options.Integer("--context", "Tokens that each decoding request has computed before [256].", 1, LongestSequence);
    private readonly Option<int?> _steps = Options.Integer("--steps", "Steps measured per batch size [20].", 1, MostSteps);
    private readonly Option<int?> _threads = ModelOptions.NewThreadsOption();
    private readonly KVTypeOption _kvType = new();
    private readonly Option<bool> _json = new("--json") { Description = "Print a row of JSON per measurement." };

    /// <summary>Adds the options.</summary>
    public void AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_batches);
        command.Add(_prompt);
        command.Add(_context);
        command.Add(_steps);
        command.Add(_threads);
        _kvType.AddTo(command);
        command.Add(_json);
    }

    /// <summary>Reads the values of a command line that has been checked.</summary>
    public EngineBenchSettings Read(ParseResult parsed) => new(
        parsed.GetValue(_model) ?? EmbeddedModel.Path,
        parsed.GetValue(_batches) is { Length: > 0 } batches ? batches : DefaultBatches,
        parsed.GetValue(_prompt),
        parsed.GetValue(_context),
        parsed.GetValue(_steps) ?? 20,
        parsed.GetValue(_threads),
        _kvType.Read(parsed),
        parsed.GetValue(_json));

    private static int[] ParseBatches(string text) => [.. text.Split(',').Select(part =>
        int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size is >= 1 and <= LargestBatch
            ? size
            : throw new FormatException($"must be batch sizes from 1 to {LargestBatch}, as 1,8,64"))];
}
