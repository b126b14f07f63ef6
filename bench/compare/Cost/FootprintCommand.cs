using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace MLFramework.Compare;

/// <summary>What a model costs before and beside its tokens, from <c>mlf bench engine</c> in a fresh process.</summary>
/// <param name="LoadSeconds">From opening the file to a model that can run.</param>
/// <param name="FileBytes">The model's files.</param>
/// <param name="LoadPeakBytes">Most memory resident when the model was loaded, the runtime's own included; no keys and values yet.</param>
/// <param name="AllocatedBytesPerStep">Managed bytes allocated in a steady decode step.</param>
internal sealed record Footprint(double LoadSeconds, long FileBytes, long LoadPeakBytes, long AllocatedBytesPerStep)
{
    /// <summary>Reads the rows that <c>mlf bench engine --json</c> prints.</summary>
    /// <exception cref="CompareException">Something is missing in them.</exception>
    public static Footprint Parse(IEnumerable<string> lines)
    {
        Dictionary<string, JsonElement> rows = [];
        foreach (string line in lines)
        {
            JsonElement row = JsonDocument.Parse(line).RootElement;
            rows[row.GetProperty("phase").GetString()!] = row;
        }
        return new Footprint(
            Number("load", "seconds").GetDouble(), Number("memory", "fileBytes").GetInt64(), Number("memory", "loadPeakBytes").GetInt64(), Number("decode", "allocatedBytesPerStep").GetInt64());

        JsonElement Number(string phase, string name) =>
            rows.TryGetValue(phase, out JsonElement row) && row.TryGetProperty(name, out JsonElement value) ? value : throw new CompareException($"mlf bench engine says nothing of {name} ({phase}).");
    }
}

/// <summary><c>footprint</c>: load time, memory, allocations, and the time to the first token of a cold process.</summary>
internal sealed class FootprintCommand
{
    private const string Prompt = "The capital of France is";

    private readonly Option<string[]> _models = new("--model") { Description = "GGUF files, each loaded in a fresh process.", AllowMultipleArgumentsPerToken = true };
    private readonly Option<int> _starts = CommonOptions.AtLeastOne("--starts", "Cold processes.", 9);
    private readonly Option<int> _threads = CommonOptions.Threads();

    /// <summary>Makes the command.</summary>
    public Command Create()
    {
        var command = new Command("footprint", "Load time, peak memory, allocations of a decode step, and the time from nothing to the embedded model's first token.");
        foreach (Option option in (Option[])[_models, _starts, _threads]) command.Add(option);
        command.SetAction(Run);
        return command;
    }

    private void Run(ParseResult parsed)
    {
        string threads = parsed.GetValue(_threads).ToString(CultureInfo.InvariantCulture);
        double[] seconds = [.. Enumerable.Range(0, parsed.GetValue(_starts)).Select(_ => MlfProcess.TimeToFirstOutput("generate", Prompt, "--max-tokens", "8", "--threads", threads).TotalSeconds)];
        Print($"`mlf generate \"{Prompt}\"`, process start to first token: median {PairedTimes.Median(seconds):0.00} s, best {seconds.Min():0.00} s of {seconds.Length}\n");
        if (parsed.GetValue(_models) is not { Length: > 0 } models) return;

        // The runtime itself takes some tens of megabytes, which weigh on a small file: those of a process with the embedded model of 3 MB.
        Footprint Measure(params string[] model) => Footprint.Parse(MlfProcess.Run(["bench", "engine", .. model, "--batch", "1", "--prompt", "64", "--context", "64", "--steps", "5", "--threads", threads, "--json"]));
        Footprint embedded = Measure();
        Print($"A process with the embedded model of {embedded.FileBytes / 1e6:N0} MB has a peak of {embedded.LoadPeakBytes / 1e6:N0} MB.\n");
        Print($"| model | file, MB | load, s | peak when loaded, MB | peak ∕ file | (peak − embedded model's) ∕ file | allocated in a decode step, bytes |\n|---|---:|---:|---:|---:|---:|---:|");
        foreach (string path in models)
        {
            Footprint cost = Measure("--model", path);
            Print($"| {Path.GetFileNameWithoutExtension(path)} | {cost.FileBytes / 1e6:N0} | {cost.LoadSeconds:0.00} | {cost.LoadPeakBytes / 1e6:N0} | {(double)cost.LoadPeakBytes / cost.FileBytes:0.00} | {(double)(cost.LoadPeakBytes - embedded.LoadPeakBytes) / cost.FileBytes:0.00} | {cost.AllocatedBytesPerStep} |");
        }
    }

    private static void Print(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
