using System.CommandLine;
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
    private readonly Option<int[]> _batches = CommonOptions.Numbers("--batches", "Sequences that decode together.", MostBatch, [1, 4, 8, 16, 32, 64]);
    private readonly Option<int[]> _context = CommonOptions.Numbers("--context", "Tokens of each before the step.", MostContext, [256]);
    private readonly Option<int[]> _prompts = CommonOptions.Numbers("--prompt", "Lengths of prompts.", MostContext, [512]);
    private readonly Option<int> _repetitions = CommonOptions.AtLeastOne("--repetitions", "Pairs of steps per cell and kind of attention.", DefaultRepetitions);
    private readonly Option<int> _threads = CommonOptions.Threads();
    private readonly Option<int> _seed = CommonOptions.Seed();
    private readonly Option<bool> _processorTime = new("--cpu-time") { Description = "With --threads 1: count the time that the process computes, for a machine that others use too." };
    private readonly Option<bool> _json = new("--json") { Description = "Print a document." };
    private readonly Option<bool> _markdown = new("--markdown") { Description = "Print the README's table." };

    /// <summary>Gives a command these options and this action.</summary>
    public void AddTo(Command command)
    {
        _peer.AddTo(command);
        foreach (Option option in (Option[])[_models, _batches, _context, _prompts, _repetitions, _threads, _seed, _processorTime, _json, _markdown]) command.Add(option);
        command.SetAction(Run);
    }

    private void Run(ParseResult parsed)
    {
        PeerLibrary library = _peer.Load(parsed);
        if (parsed.GetValue(_context) is not [var context]) throw new CompareException("--context takes one number.");
        var settings = new SpeedSettings(
            parsed.GetValue(_batches)!, context, parsed.GetValue(_prompts)!, parsed.GetValue(_repetitions), parsed.GetValue(_threads), parsed.GetValue(_seed),
            parsed.GetValue(_processorTime));
        if (settings.CountsProcessorTime && settings.Threads > 1) throw new CompareException("--cpu-time counts what all threads compute, and what they wait: it needs --threads 1.");
        double? load = Machine.Load;
        if (load > BusyLoad && !settings.CountsProcessorTime) Console.Error.WriteLine($"This machine is busy (load {load}): ratios will be off, since engines differ in how much they suffer.");
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
        var comparison = new SpeedComparison(own, peer, settings);
        (double ownIdle, double peerIdle) = comparison.MeasureIdle();
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"cores used in the 10 ms after a step: ours {ownIdle:0.00}, llama.cpp {peerIdle:0.00}"));
        return new ModelSpeed(Path.GetFileNameWithoutExtension(path), comparison.Run(cell => Console.Error.WriteLine(SpeedReport.ToLine(cell))));
    }
}
