using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace MLFramework.Compare;

/// <summary>One model's cells.</summary>
/// <param name="Model">Its file, without the folder.</param>
/// <param name="Cells">Its cells.</param>
internal sealed record ModelSpeed(string Model, IReadOnlyList<SpeedCell> Cells);

/// <summary>A comparison of both engines, with what is needed to judge it.</summary>
/// <param name="Machine">The processor.</param>
/// <param name="Load">Threads that wanted to run in the minute before, on average; null if unknown.</param>
/// <param name="Threads">Threads of each engine.</param>
/// <param name="OwnKernels">The instruction set of our kernels.</param>
/// <param name="PeerVersion">llama.cpp's version.</param>
/// <param name="PeerBackend">The instruction set that its CPU backend was built for.</param>
/// <param name="Repetitions">Pairs of steps per cell and kind of attention.</param>
/// <param name="Context">Tokens before a decode step.</param>
/// <param name="Models">The models.</param>
internal sealed record SpeedReport(
    string Machine, double? Load, int Threads, string OwnKernels, string PeerVersion, string PeerBackend, int Repetitions, int Context, IReadOnlyList<ModelSpeed> Models)
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true, Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>All of it, for programs.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, s_json);

    /// <summary>The README's table.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        string[] columns = [.. Models.SelectMany(model => model.Cells).Select(cell => cell.Title).Distinct()];
        text.Append(CultureInfo.InvariantCulture, $"| model | | {string.Join(" | ", columns)} |\n|---|---|{string.Concat(Enumerable.Repeat("---:|", columns.Length))}\n");
        foreach (ModelSpeed model in Models)
        {
            Row($"{model.Model}", "**times as fast**", cell => Invariant($"**{cell.Ratio:0.00}**"));
            Row("", "MLFramework, tokens/s", cell => Invariant($"{cell.OwnTokensPerSecond:N0}"));
            Row("", "llama.cpp, tokens/s", cell => Invariant($"{cell.PeerTokensPerSecond:N0}"));

            void Row(string title, string what, Func<SpeedCell, string> show) =>
                text.Append(CultureInfo.InvariantCulture, $"| {title} | {what} | {string.Join(" | ", columns.Select(column => model.Cells.FirstOrDefault(cell => cell.Title == column) is { } cell ? show(cell) : ""))} |\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"\n{Machine}, {Threads} threads; our kernels: {OwnKernels}; llama.cpp {PeerVersion} with its backend {PeerBackend}; context {Context}; medians of {Repetitions} steps or more.\n");
        return text.ToString();
    }

    /// <summary>A cell as one line of text.</summary>
    public static string ToLine(SpeedCell cell) => Invariant(
        $"{cell.Title,-12} ratio {cell.Ratio,5:0.00} (of bests {cell.BestRatio,5:0.00})  ours {cell.OwnTokensPerSecond,8:0.0} tok/s (best {cell.OwnBestTokensPerSecond,8:0.0}, {cell.OwnStepMs,8:0.00} ms)  llama.cpp {cell.PeerTokensPerSecond,8:0.0} (best {cell.PeerBestTokensPerSecond,8:0.0}, {cell.PeerStepMs,8:0.00} ms, flash attention {(cell.FlashAttention ? "on" : "off")}; the other: {cell.OtherRatio:0.00})  same greedy tokens {cell.SameTokens}/{cell.Batch}");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
