using System.CommandLine;
using System.Globalization;
using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>
/// <c>attention</c>: what long contexts cost. A step over a context of one token has all of a step's work but attention; what a step over a long one takes more
/// is attention, reading of keys and values included. Steps over all contexts are taken in turn, and each is compared with its neighbours.
/// </summary>
internal sealed class AttentionCommand
{
    private const int Warmups = 3, MostContext = 1 << 20, MostBatch = 1024;

    private static readonly TimeProvider s_clock = TimeProvider.System;

    private readonly Option<string[]> _models = new("--model") { Description = "GGUF files.", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<int[]> _contexts = CommonOptions.Numbers("--contexts", "Tokens before the step.", MostContext, [256, 2048, 8192]);
    private readonly Option<int[]> _batches = CommonOptions.Numbers("--batches", "Sequences that decode together.", MostBatch, [1]);
    private readonly Option<int> _repetitions = CommonOptions.AtLeastOne("--repetitions", "Steps per context.", 15);
    private readonly Option<int> _threads = CommonOptions.Threads();

    /// <summary>Makes the command.</summary>
    public Command Create()
    {
        var command = new Command("attention", "Attention's share of our decode step over contexts of several lengths.");
        foreach (Option option in (Option[])[_models, _contexts, _batches, _repetitions, _threads]) command.Add(option);
        command.SetAction(Run);
        return command;
    }

    private void Run(ParseResult parsed)
    {
        Console.WriteLine("| model | batch | context | step, ms | attention's share |\n|---|---:|---:|---:|---:|");
        foreach (string path in parsed.GetValue(_models)!)
        {
            using CpuModel model = CpuModel.Load(path);
            int[] contexts = parsed.GetValue(_contexts)!;
            if (contexts.Any(context => context >= model.HyperParameters.ContextLength)) throw new CompareException($"{path} sees at most {model.HyperParameters.ContextLength} tokens; name shorter --contexts.");
            foreach (int batch in parsed.GetValue(_batches)!)
            {
                double[][] seconds = Measure(model, [1, .. contexts], batch, parsed.GetValue(_repetitions), parsed.GetValue(_threads));
                for (int i = 0; i < contexts.Length; i++)
                {
                    double[] shares = [.. seconds[i + 1].Zip(seconds[0], (with, without) => Math.Max(0, 1 - without / with))];
                    Console.WriteLine(string.Create(
                        CultureInfo.InvariantCulture, $"| {Path.GetFileNameWithoutExtension(path)} | {batch} | {contexts[i]} | {PairedTimes.Median([.. seconds[i + 1]]) * 1e3:0.00} | {PairedTimes.Median(shares):P0} |"));
                }
            }
        }
    }

    /// <summary>For each context the times of its steps, taken in turn.</summary>
    private static double[][] Measure(CpuModel model, int[] contexts, int batch, int repetitions, int threads)
    {
        var random = new Random(1);
        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(model.HyperParameters.VocabularySize))];
        OwnEngine[] engines = [.. contexts.Select(context => new OwnEngine(model, threads, batch, context + 1, seed: 1))];
        double[][] seconds = [.. contexts.Select(_ => new double[repetitions])];
        try
        {
            for (int i = 0; i < engines.Length; i++) engines[i].Start([.. Enumerable.Repeat(Tokens(contexts[i]), batch)], Tokens(batch));
            int[] sampled = new int[batch];
            for (int repetition = -Warmups; repetition < repetitions; repetition++)
                for (int i = 0; i < engines.Length; i++)
                {
                    long start = s_clock.GetTimestamp();
                    engines[i].Step(sampled);
                    if (repetition >= 0) seconds[i][repetition] = s_clock.GetElapsedTime(start).TotalSeconds;
                }
        }
        finally
        {
            foreach (OwnEngine engine in engines) engine.Dispose();
        }
        return seconds;
    }
}
