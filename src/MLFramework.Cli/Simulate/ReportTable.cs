using System.Globalization;
using MLFramework.Simulation;
using Spectre.Console;

namespace MLFramework.Cli;

/// <summary>A report for people.</summary>
internal static class ReportTable
{
    /// <summary>Writes the report.</summary>
    public static void Write(IAnsiConsole console, string title, SimulationReport report)
    {
        console.MarkupLineInterpolated($"[bold]{title}[/]");
        console.Write(Latencies(report.Latency));
        console.Write(Facts(report));
        if (report.Fairness.Tenants.Count > 1)
        {
            console.Write(Tenants(report.Fairness));
            console.WriteLine(Fairness(report.Fairness));
        }
    }

    private static Table Latencies(LatencyReport latency)
    {
        Table table = NewTable("Latency, ms", "mean", "p50", "p90", "p95", "p99", "max");
        AddLatency(table, "In queue", latency.Queue);
        AddLatency(table, "Time to first token", latency.TimeToFirstToken);
        AddLatency(table, "Between tokens", latency.InterToken);
        AddLatency(table, "End to end", latency.EndToEnd);
        return table;
    }

    private static void AddLatency(Table table, string name, LatencySummary? summary)
    {
        double?[] cells = [summary?.Mean, summary?.P50, summary?.P90, summary?.P95, summary?.P99, summary?.Max];
        table.AddRow([name, .. cells.Select(cell => cell is { } ms ? Number(ms, ms < 100 ? 1 : 0) : "–")]);
    }

    private static Table Facts(SimulationReport report)
    {
        RequestCounts requests = report.Requests;
        Table table = NewTable("Run", string.Empty);
        table.AddRow("Requests", Number(requests.Arrived));
        table.AddRow("Completed", Number(requests.Completed));
        table.AddRow("Refused", requests.Rejected.Count == 0 ? "0" : string.Join(", ", requests.Rejected.Select(r => $"{r.Key} {Number(r.Value)}")));
        table.AddRow("Timed out, cancelled, failed", $"{Number(requests.TimedOut)}, {Number(requests.Cancelled)}, {Number(requests.Failed)}");
        table.AddRow("Virtual duration", $"{Number(report.DurationSeconds, 1)} s");
        table.AddRow("Throughput", $"{Number(report.Throughput.RequestsPerSecond, 2)} requests/s, {Number(report.Throughput.GeneratedTokensPerSecond)} tokens/s");
        table.AddRow($"Goodput ({Objectives(report.Goodput)})", $"{Number(report.Goodput.RequestsPerSecond, 2)} requests/s, {Percent(report.Goodput.Share)} of all");
        table.AddRow("Utilization", $"{Percent(report.Engine.Utilization)}, {Number(report.Engine.Iterations)} steps of {Number(report.Engine.MeanBatchSize, 1)} requests");
        table.AddRow("Prefix cache hits", Percent(report.Engine.CacheHitRate));
        table.AddRow("KV cache, at most", Percent(report.Engine.PeakCacheUse));
        table.AddRow("Preemptions", Number(report.Engine.Preemptions));
        table.AddRow("Longest queue", Number(report.Engine.PeakQueuedRequests));
        table.AddRow("Wait estimate, median error", report.Engine.MedianWaitEstimateError is { } error ? Percent(error) : "–");
        return table;
    }

    private static Table Tenants(FairnessReport fairness)
    {
        Table table = NewTable("Tenants", "requests", "demand", "service", "TTFT p50", "TTFT p99");
        foreach (TenantReport tenant in fairness.Tenants)
        {
            table.AddRow(
                Markup.Escape(tenant.Name),
                Number(tenant.Requests),
                Number(tenant.Demand),
                Number(tenant.Service),
                tenant.TimeToFirstToken is { } t ? Number(t.P50) : "–",
                tenant.TimeToFirstToken is { } u ? Number(u.P99) : "–");
        }

        return table;
    }

    private static string Fairness(FairnessReport fairness) =>
        $"Jain index {Number(fairness.JainIndex, 3)}. Service of tenants with a backlog differed by at most {Number(fairness.ServiceDifference)} weighted tokens;"
        + $" the virtual token counter allows {Number(fairness.ServiceDifferenceBound)}.";

    private static Table NewTable(params string[] headers)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumn(headers[0]);
        foreach (string header in headers[1..])
        {
            table.AddColumn(new TableColumn(header).RightAligned());
        }

        return table;
    }

    private static string Objectives(GoodputReport goodput)
    {
        (string Name, double? Ms)[] objectives =
            [("TTFT", goodput.TimeToFirstTokenMs), ("mean ITL", goodput.MeanInterTokenMs), ("p99 ITL", goodput.P99InterTokenMs)];
        string[] set = [.. objectives.Where(o => o.Ms is not null).Select(o => $"{o.Name} ≤ {DurationText.Format(TimeSpan.FromMilliseconds(o.Ms!.Value))}")];
        return set.Length == 0 ? "no objective" : string.Join(", ", set);
    }

    private static string Number(double value, int decimals = 0) => value.ToString($"N{decimals}", CultureInfo.InvariantCulture);

    private static string Percent(double share) => $"{Number(100 * share, 1)} %";
}
