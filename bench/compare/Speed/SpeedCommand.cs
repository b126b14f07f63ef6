using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>Measures the speed of both engines on the same files.</summary>
internal sealed class SpeedCommand
{
    private const int MostBatch = 1024, MostContext = 1 << 20, DefaultRepetitions = 21;
    private const double BusyLoad = 0.5;

    private readonly PeerOptions _peer = new();
    private readonly Option<string[]> _models = new("--model") { Description = "GGUF files.", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<int[]> _batches = Numbers("--batches", "Sequences that decode together.", MostBatch, [1, 4, 8, 16, 32, 64]);
    private readonly Option<int[]> _context = Numbers("--context", "Tokens of each before the step.", MostContext, [256]);
    private readonly Option<int[]> _prompts = Numbers("--prompt", "Lengths of prompts.", MostContext, [512]);
    private readonly Option<int> _repetitions = new("--repetitions") { Description = "Pairs of steps per cell and kind of attention.", DefaultValueFactory = _ => DefaultRepetitions };
    private readonly Option<int> _threads = new("--threads") { Description = "Threads of each engine.", DefaultValueFactory = _ => Environment.ProcessorCount };
    private readonly Option<int> _seed = new("--seed") { Description = "Of tokens and block tables.", DefaultValueFactory = _ => 1 };
    private readonly Option<bool> _json = new("--json") { Description = "Print a document." };
    private readonly Option<bool> _markdown = new("--markdown") { Description = "Print the README's table." };

    /// <summary>Gives a command these options and this action.</summary>
    public void AddTo(Command command)
    {
        _peer.AddTo(command);
        foreach (Option option in (Option[])[_models, _batches, _context, _prompts, _repetitions, _threads, _seed, _json, _markdown]) command.Add(option);
        _repetitions.Validators.Add(AtLeastOne);
        _threads.Validators.Add(AtLeastOne);
        command.SetAction(Run);
    }

    /// <summary>Numbers with commas between them, each from 1 to a bound; <c>none</c> for an empty list.</summary>
    internal static int[] ParseNumbers(string text, int most)
    {
        if (text == "none") return [];
        string[] parts = text.Split(',');
        int[] numbers = [.. parts.Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0)];
        return numbers.All(number => number >= 1 && number <= most) ? numbers : throw new FormatException($"'{text}' is no list of whole numbers from 1 to {most}, such as 1,4,8; 'none' leaves them out");
    }

    private void Run(ParseResult parsed)
    {
        PeerLibrary library = _peer.Load(parsed);
        if (parsed.GetValue(_context) is not [var context]) throw new CompareException("--context takes one number.");
        var settings = new SpeedSettings(
            parsed.GetValue(_batches)!, context, parsed.GetValue(_prompts)!, parsed.GetValue(_repetitions), parsed.GetValue(_threads), parsed.GetValue(_seed));
        double? load = Machine.Load;
        if (load > BusyLoad) Console.Error.WriteLine($"This machine is busy (load {load}): ratios will be off, since engines differ in how much they suffer.");
        var models = new List<ModelSpeed>();
        foreach (string path in parsed.GetValue(_models)!) models.Add(Measure(path, library, settings));
        var report = new SpeedReport(
            Machine.Name, load, settings.Threads, KernelSet.Best.ToString()!, PeerLibrary.Version, library.Backend, settings.Repetitions, settings.Context, models);
        if (parsed.GetValue(_json)) Console.WriteLine(report.ToJson());
        if (parsed.GetValue(_markdown)) Console.WriteLine(report.ToMarkdown());
    }

    private static ModelSpeed Measure(string path, PeerLibrary library, SpeedSettings settings)
    {
        using CpuModel own = CpuModel.Load(path);
        using var peer = new PeerModel(library, path);
        if (own.HyperParameters.VocabularySize != peer.VocabularySize) throw new CompareException($"{path}: we see {own.HyperParameters.VocabularySize} tokens, llama.cpp {peer.VocabularySize}.");
        Console.Error.WriteLine($"{path}: {own.Architecture}, our kernels {own.Kernels}");
        return new ModelSpeed(Path.GetFileNameWithoutExtension(path), new SpeedComparison(own, peer, settings).Run(cell => Console.Error.WriteLine(SpeedReport.ToLine(cell))));
    }

    private static Option<int[]> Numbers(string name, string description, int most, int[] standard) => new(name)
    {
        Description = $"{description} [{string.Join(',', standard)}]",
        HelpName = "N,N,…",
        DefaultValueFactory = _ => standard,
        CustomParser = result =>
        {
            try
            {
                return ParseNumbers(result.Tokens[0].Value, most);
            }
            catch (FormatException e)
            {
                result.AddError($"{name}: {e.Message}.");
                return [];
            }
        },
    };

    private static void AtLeastOne(OptionResult result)
    {
        if (result.GetValueOrDefault<int>() < 1) result.AddError($"{result.Option.Name} must be at least 1.");
    }
}
