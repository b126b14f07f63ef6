using System.Text.Json;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary><c>mlf generate --prompts</c>: runs a file of prompts, and goes on where an earlier run was interrupted.</summary>
internal static class GenerateJob
{
    /// <summary>Runs the job.</summary>
    /// <returns>Whether all prompts have a response, in this run and those before: <see cref="ExitCode.Success"/> or <see cref="ExitCode.Failure"/>.</returns>
    /// <exception cref="UsageException">A file cannot be read or written, a line is no prompt, or the results are those of other prompts.</exception>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static int Run(JobSettings settings, Terminal terminal, CancellationToken cancellationToken)
    {
        var parser = new PromptParser(settings.Defaults, settings.Fingerprint());
        JobPlan plan = JobPlan.Make(settings, parser, cancellationToken);
        JobSummary summary = plan.Finished.Count < plan.Count
            ? Compute(settings, parser, plan, terminal, cancellationToken)
            : new JobTally().Summarize(plan, null, null, TimeSpan.Zero, settings.MaxConcurrency);
        if (settings.Json)
        {
            terminal.Output.Profile.Out.Writer.WriteLine(JsonSerializer.Serialize(summary, JobSummaryJsonContext.Default.JobSummary));
        }
        else
        {
            summary.Write(terminal.Output);
        }

        return summary.Failed > 0 ? ExitCode.Failure : ExitCode.Success;
    }

    private static JobSummary Compute(JobSettings settings, PromptParser parser, JobPlan plan, Terminal terminal, CancellationToken cancellationToken)
    {
        using var results = new ResultWriter(settings, plan.Finished);
        try
        {
            return ProgressDisplay.Watch(terminal, "Loading", plan.Count, bar => ComputeAsync(settings, parser, plan, results, bar, cancellationToken).GetAwaiter().GetResult());
        }
        catch (OperationCanceledException)
        {
            terminal.WriteError($"{results.Count} of {plan.Count} results are in {settings.Output}; the same command goes on from there.");
            throw;
        }
    }

    private static async Task<JobSummary> ComputeAsync(
        JobSettings settings, PromptParser parser, JobPlan plan, ResultWriter results, IProgress<ProgressStep>? bar, CancellationToken cancellationToken)
    {
        TimeProvider time = TimeProvider.System;
        JobMeter? meter = null;
        using ModelSession session = ModelSession.Start(settings.Model, new SessionLimits(settings.MaxConcurrency, settings.KVTokens), terminal: null, cancellationToken, executor => meter = new JobMeter(executor, time));
        IChatTemplate? template = plan.HasConversations ? session.LoadChatTemplate() : null;
        var tally = new JobTally();
        long start = time.GetTimestamp();
        var runner = new JobRunner(session, template, settings.ReadAhead, outcome =>
        {
            tally.Add(outcome);
            bar?.Report(new ProgressStep(plan.Finished.Count + tally.Ended, Describe(tally, time.GetElapsedTime(start))));
        });
        IEnumerable<PromptLine> prompts = PromptFile.Read(settings.Prompts, parser).Where(prompt => prompt.Index >= plan.Finished.Count);
        await runner.RunAsync(prompts, results.Write, cancellationToken);
        return tally.Summarize(plan, meter, session, time.GetElapsedTime(start), settings.MaxConcurrency);
    }

    private static string Describe(JobTally tally, TimeSpan elapsed) => FormattableString.Invariant(
        $"{tally.GeneratedTokens / Math.Max(elapsed.TotalSeconds, 1e-3):N0} tokens/s{(tally.Failed > 0 ? $", {tally.Failed} failed" : string.Empty)}");
}
