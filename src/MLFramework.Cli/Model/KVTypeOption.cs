using System.CommandLine;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary>The option that says how keys and values are stored.</summary>
internal sealed class KVTypeOption
{
    private static readonly IReadOnlyDictionary<string, KVElementType> Types = Enum.GetValues<KVElementType>().ToDictionary(type => $"{type}".ToLowerInvariant());

    private readonly Option<string?> _type = Options.Parsed<string?>("--kv-type", string.Join('|', Types.Keys), "How keys and values are stored [f16].", text =>
        Types.ContainsKey(text) ? text : throw new FormatException($"must be one of {string.Join(", ", Types.Keys)}"));

    /// <summary>Adds the option.</summary>
    public void AddTo(Command command)
    {
        command.Add(_type);
        _type.CompletionSources.Add([.. Types.Keys]);
    }

    /// <summary>Reads the value of a command line that has been checked.</summary>
    public KVElementType Read(ParseResult parsed) => parsed.GetValue(_type) is { } type ? Types[type] : KVElementType.F16;
}
