using System.CommandLine;
using System.Diagnostics;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary><c>mlf bench engine</c>: how fast a model computes prompts and decodes batches.</summary>
internal static class EngineBenchCommand
{
    /// <summary>Steps that compile the code and fill the caches: a method is compiled anew after thirty calls.</summary>
    private const int WarmUpSteps = 40, WarmUpPerBatch = 5;

    private const int DefaultPrompt = 512, DefaultContext = 256;

    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal, CancellationToken cancellationToken)
    {
        var options = new EngineBenchOptions();
        var command = new Command("engine", "Measures a model: computing a prompt, and decoding batches through the real scheduler.");
        options.AddTo(command);
        command.SetAction(parsed => Run(options.Read(parsed), terminal, cancellationToken));
        return command;
    }

    private static int Run(EngineBenchSettings settings, Terminal terminal, CancellationToken cancellationToken)
    {
        var rows = new List<EngineRow>();
        void Tell(EngineRow row)
        {
            rows.Add(row);
            if (settings.Json)
            {
                terminal.Stream(EngineRowJsonContext.ToLine(row) + Environment.NewLine);
            }
        }

        try
        {
            ProgressDisplay.Watch(terminal, "Loading", settings.Batches.Length + 3, bar =>
            {
                Measure(settings, Tell, new Stages(bar, cancellationToken));
                return true;
            });
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            throw new UsageException(e.Message, e);
        }

        if (!settings.Json)
        {
            EngineTable.Write(terminal.Output, rows);
        }

        return ExitCode.Success;
    }

    private static void Measure(EngineBenchSettings settings, Action<EngineRow> tell, Stages stages)
    {
        TimeProvider time = TimeProvider.System;
        long start = time.GetTimestamp();
        GgufFile file = GgufFile.Open(settings.Path);
        long fileBytes = file.ByteLength;
        using CpuModel model = CpuModel.Load(file, progress: stages, cancellationToken: stages.CancellationToken);
        TimeSpan loadTime = time.GetElapsedTime(start);
        long loadPeak = PeakWorkingSet();

        stages.Next("Warming up");
        (int prompt, int context) = Lengths(settings, model.HyperParameters.ContextLength);
        var options = new CpuExecutorOptions { Threads = settings.Threads, KVType = settings.KVType };
        using var benchmark = new EngineBenchmark(model, settings.Batches.Max(), context + StepsOf(settings), prompt, options);
        tell(new LoadRow(model.Name ?? Path.GetFileName(settings.Path), benchmark.Threads, $"{settings.KVType}", loadTime.TotalSeconds));
        WarmUp(benchmark, prompt, context, stages);
        stages.Next($"Prompt of {prompt}");
        tell(MeasurePrefill(benchmark, prompt, settings.Steps, stages));
        foreach (int batch in settings.Batches)
        {
            stages.Next($"Batch of {batch}");
            tell(MeasureDecode(benchmark, batch, context, settings.Steps, stages));
        }

        long kvBytes = (long)benchmark.KVCache.TotalBlocks * benchmark.KVCache.BlockSize * benchmark.KVCache.BytesPerToken;
        tell(new MemoryRow(fileBytes, model.PackedBytes, kvBytes, loadPeak, PeakWorkingSet()));
    }

    /// <summary>What was asked for if the model sees so much; what was not asked for is as much as fits.</summary>
    private static (int Prompt, int Context) Lengths(EngineBenchSettings settings, int limit)
    {
        int mostContext = limit - StepsOf(settings), mostPrompt = limit - 1;
        if (settings.Prompt > mostPrompt)
        {
            throw new UsageException($"--prompt {settings.Prompt}: this model sees at most {limit} tokens, so that a prompt has at most {mostPrompt}.");
        }

        if (mostContext < 1 || settings.Context > mostContext)
        {
            throw new UsageException($"--context {settings.Context ?? DefaultContext}: this model sees at most {limit} tokens, and the steps need {StepsOf(settings)} of them; choose less, or fewer --steps.");
        }

        return (settings.Prompt ?? Math.Min(DefaultPrompt, mostPrompt), settings.Context ?? Math.Min(DefaultContext, mostContext));
    }

    /// <summary>Tokens that a request generates at most.</summary>
    private static int StepsOf(EngineBenchSettings settings) => Math.Max(WarmUpSteps, WarmUpPerBatch + settings.Steps);

    private static void WarmUp(EngineBenchmark benchmark, int prompt, int context, Stages stages)
    {
        benchmark.Prefill(prompt);
        using DecodeLoad load = benchmark.StartDecoding(1, context);
        for (int i = 0; i < WarmUpSteps; i++)
        {
            stages.ThrowIfInterrupted();
            load.Step();
        }
    }

    private static PrefillRow MeasurePrefill(EngineBenchmark benchmark, int prompt, int steps, Stages stages)
    {
        var times = new TimeSpan[Math.Clamp(steps / 4, 1, 10)];
        for (int i = 0; i < times.Length; i++)
        {
            stages.ThrowIfInterrupted();
            times[i] = benchmark.Prefill(prompt);
        }

        StepTimes summary = StepTimes.Of(times);
        return new PrefillRow(prompt, Rate(prompt, summary), summary);
    }

    private static DecodeRow MeasureDecode(EngineBenchmark benchmark, int batch, int context, int steps, Stages stages)
    {
        using DecodeLoad load = benchmark.StartDecoding(batch, context);
        for (int i = 0; i < WarmUpPerBatch; i++)
        {
            stages.ThrowIfInterrupted();
            load.Step();
        }

        var times = new TimeSpan[steps];
        long allocatedBefore = load.AllocatedBytes;
        for (int i = 0; i < times.Length; i++)
        {
            stages.ThrowIfInterrupted();
            times[i] = load.Step();
        }

        StepTimes summary = StepTimes.Of(times);
        return new DecodeRow(batch, context, Rate(batch, summary), summary, (double)(load.AllocatedBytes - allocatedBefore) / steps);
    }

    private static double Rate(int tokens, StepTimes times) => tokens * 1000.0 / times.Median;

    private static long PeakWorkingSet()
    {
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    /// <summary>Tells who watches what is being done, and ends it on Ctrl+C.</summary>
    private sealed class Stages(IProgress<ProgressStep>? bar, CancellationToken cancellationToken) : IProgress<LoadProgress>
    {
        private int _done;

        public CancellationToken CancellationToken => cancellationToken;

        public void Next(string description)
        {
            ThrowIfInterrupted();
            bar?.Report(new ProgressStep(++_done, description));
        }

        /// <summary>Loading is the first stage.</summary>
        public void Report(LoadProgress value) => bar?.Report(new ProgressStep((double)value.PackedBytes / value.TotalBytes));

        public void ThrowIfInterrupted() => cancellationToken.ThrowIfCancellationRequested();
    }
}
