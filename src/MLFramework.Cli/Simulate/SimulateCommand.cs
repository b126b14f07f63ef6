using System.CommandLine;
using System.Text.Json;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary><c>mlf simulate</c>: the real scheduler in virtual time, under a trace or a generated load.</summary>
internal static class SimulateCommand
{
    private const int DefaultRequests = 1000;
    private const double DefaultBurstiness = 2;

    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal, CancellationToken cancellationToken)
    {
        var options = new SimulateOptions();
        var command = new Command("simulate", "Replays a load through the real scheduler in virtual time and reports latency, goodput and fairness.");
        options.AddTo(command);
        command.SetAction(parsed => Run(options.Read(parsed), terminal, cancellationToken));
        return command;
    }

    private static int Run(SimulateSettings settings, Terminal terminal, CancellationToken cancellationToken)
    {
        (IReadOnlyList<Arrival> load, string description) = LoadFor(settings);
        SimulationOptions options = OptionsFor(settings);
        SimulationReport report = ProgressDisplay.Watch(
            terminal,
            "Simulating",
            load.Count,
            bar => SimulationRun.Execute(load, options, bar is null ? null : new SimulationProgressBar(bar), cancellationToken));

        if (settings.Json)
        {
            var document = new SimulateDocument(description, settings.Speed, settings.Preset.Name, options.Order, settings.Seed, report);
            terminal.Output.Profile.Out.Writer.WriteLine(JsonSerializer.Serialize(document, SimulateJsonContext.Default.SimulateDocument));
        }
        else
        {
            ReportTable.Write(terminal.Output, $"{description} on {settings.Preset.Description}", report);
        }

        return ExitCode.Success;
    }

    private static (IReadOnlyList<Arrival> Load, string Description) LoadFor(SimulateSettings settings)
    {
        (IEnumerable<Arrival> load, string description) = settings.Trace is { } trace ? FromTrace(trace, settings.Requests) : Generate(settings);
        if (settings.Tenants is { } tenants)
        {
            load = load.WithTenants(tenants, settings.Seed);
        }

        if (settings.HeavyTenant is { } factor)
        {
            load = load.WithLongerPrompts("tenant-1", factor);
        }

        if (settings.SharedPrefix is { } tokens)
        {
            load = load.WithSharedPrefix(tokens);
        }

        if (settings.Priorities is { } weights)
        {
            load = load.WithPriorities(weights, settings.Seed);
        }

        string speed = settings.Speed == 1 ? string.Empty : FormattableString.Invariant($" at speed ×{settings.Speed:0.##}");
        return ([.. load.AtSpeed(settings.Speed)], description + speed);
    }

    private static (IEnumerable<Arrival> Load, string Description) FromTrace(FileInfo trace, int? requests)
    {
        try
        {
            IReadOnlyList<Arrival> all = TraceFile.Read(trace.FullName);
            int count = Math.Min(requests ?? all.Count, all.Count);
            return (all.Take(count), FormattableString.Invariant($"{count:N0} requests of {trace.Name}"));
        }
        catch (Exception e) when (e is TraceFormatException or IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new UsageException(e.Message, e);
        }
    }

    private static (IEnumerable<Arrival> Load, string Description) Generate(SimulateSettings settings)
    {
        // A load that keeps the machine busy without drowning it, whatever the preset.
        const double Utilization = 0.5;
        double rate = settings.Rate
            ?? Math.Clamp(Utilization * settings.Preset.PeakRate(settings.PromptTokens, settings.OutputTokens), GeneratedLoad.MinRate, GeneratedLoad.MaxRate);
        bool isGamma = settings.Process == ArrivalProcess.Gamma;
        var load = new GeneratedLoad(rate, settings.Requests ?? DefaultRequests)
        {
            Burstiness = isGamma ? settings.Burstiness ?? DefaultBurstiness : 1,
            PromptTokens = settings.PromptTokens,
            OutputTokens = settings.OutputTokens,
            Seed = settings.Seed,
        };
        string process = isGamma ? FormattableString.Invariant($"Gamma, CV {load.Burstiness:0.##}") : "Poisson";
        return (load.Generate(), FormattableString.Invariant($"{load.Requests:N0} requests ({process}, {rate:0.###}/s)"));
    }

    private static SimulationOptions OptionsFor(SimulateSettings settings)
    {
        ModelPreset preset = settings.Preset;
        ServiceObjectives defaults = preset.Objectives;
        var objectives = new ServiceObjectives(
            settings.SloTimeToFirstToken ?? defaults.TimeToFirstToken,
            settings.SloInterToken ?? defaults.MeanInterTokenLatency,
            settings.SloInterTokenP99);
        return new SimulationOptions(preset with
        {
            MaxBatchSize = settings.MaxBatch ?? preset.MaxBatchSize,
            Cache = preset.Cache with { TotalBlocks = settings.KVBlocks ?? preset.Cache.TotalBlocks },
        })
        {
            Objectives = objectives,
            Order = settings.Order,
            Seed = settings.Seed,
            Admission = settings.MaxQueueDelay is { } delay ? AdmissionLimits.Default with { MaxQueueDelay = delay } : null,
        };
    }
}
