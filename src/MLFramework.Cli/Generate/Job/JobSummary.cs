using System.Globalization;
using System.Text.Json.Serialization;
using MLFramework.Simulation;
using Spectre.Console;

namespace MLFramework.Cli;

/// <summary>What <c>mlf generate --prompts --json</c> prints at its end.</summary>
/// <param name="Prompts">Prompts of the file.</param>
/// <param name="Resumed">Prompts that an earlier run had done.</param>
/// <param name="Computed">Prompts that this run has done. What follows is about these, but for <paramref name="Failed"/>.</param>
/// <param name="Failed">Prompts with an error, those of an earlier run included.</param>
/// <param name="Seconds">From the first prompt to the last result, the model being loaded.</param>
/// <param name="PromptTokens">Tokens of prompts.</param>
/// <param name="GeneratedTokens">Tokens generated.</param>
/// <param name="RequestsPerSecond">Prompts per second.</param>
/// <param name="PromptTokensPerSecond">Prompt tokens per second, cached ones included.</param>
/// <param name="GeneratedTokensPerSecond">Generated tokens per second.</param>
/// <param name="TimeToFirstTokenMs">TTFT, from handing a prompt to the scheduler on, the time in its queue included.</param>
/// <param name="InterTokenMs">ITL.</param>
/// <param name="Steps">Steps of the model.</param>
/// <param name="MeanBatchSize">Mean requests in a step.</param>
/// <param name="BatchUtilization">The same as a share of the most that may run at once.</param>
/// <param name="PrefixCacheHitRate">Share of prompt tokens that the prefix cache had.</param>
/// <param name="Preemptions">How often a request gave up its KV blocks to another.</param>
/// <param name="FinishReasons">How many ended for which reason.</param>
/// <param name="Errors">How many failed with which error.</param>
internal sealed record class JobSummary(
    long Prompts, long Resumed, long Computed, long Failed, double Seconds, long PromptTokens, long GeneratedTokens, double RequestsPerSecond,
    double PromptTokensPerSecond, double GeneratedTokensPerSecond, LatencySummary? TimeToFirstTokenMs, LatencySummary? InterTokenMs, long Steps,
    double MeanBatchSize, double BatchUtilization, double PrefixCacheHitRate, long Preemptions,
    IReadOnlyDictionary<string, long> FinishReasons, IReadOnlyDictionary<string, long> Errors)
{
    /// <summary>Writes it for people.</summary>
    public void Write(IAnsiConsole console)
    {
        var table = new Table { Border = TableBorder.Rounded, ShowHeaders = false };
        table.AddColumn(string.Empty);
        table.AddColumn(new TableColumn(string.Empty).RightAligned());
        table.AddRow("Prompts", Resumed > 0 ? $"{Number(Prompts)}, {Number(Resumed)} of them done before" : Number(Prompts));
        table.AddRow("Failed", Errors.Count > 0 ? $"{Number(Failed)} ({Counts(Errors)})" : Number(Failed));
        if (Computed > 0)
        {
            table.AddRow("Ended by", Counts(FinishReasons));
            table.AddRow("Duration", $"{Number(Seconds, 1)} s");
            table.AddRow("Throughput", $"{Number(RequestsPerSecond, 1)} prompts/s, {Number(GeneratedTokensPerSecond)} tokens/s, {Number(PromptTokensPerSecond)} prompt tokens/s");
            table.AddRow("Tokens", $"{Number(PromptTokens)} in prompts, {Number(GeneratedTokens)} generated");
            table.AddRow("Time to first token", Latency(TimeToFirstTokenMs));
            table.AddRow("Between tokens", Latency(InterTokenMs));
            table.AddRow("Batches", $"{Number(Steps)} steps of {Number(MeanBatchSize, 1)} requests, {Percent(BatchUtilization)} full");
            table.AddRow("Prefix cache hits", Percent(PrefixCacheHitRate));
            table.AddRow("Preemptions", Number(Preemptions));
        }

        console.Write(table);
    }

    private static string Counts(IReadOnlyDictionary<string, long> counts) =>
        counts.Count == 0 ? "–" : string.Join(", ", counts.Select(entry => $"{entry.Key} {Number(entry.Value)}"));

    private static string Latency(LatencySummary? latency) => latency is null
        ? "–"
        : $"p50 {Number(latency.P50, 1)}, p90 {Number(latency.P90, 1)}, p99 {Number(latency.P99, 1)}, max {Number(latency.Max, 1)} ms";

    private static string Number(double value, int decimals = 0) => value.ToString($"N{decimals}", CultureInfo.InvariantCulture);

    private static string Percent(double share) => $"{Number(100 * share, 1)} %";
}

/// <summary>Its serializer, generated at compile time.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(JobSummary))]
internal sealed partial class JobSummaryJsonContext : JsonSerializerContext;
