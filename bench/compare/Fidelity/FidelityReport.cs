using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>How far both engines are from double precision after one position.</summary>
/// <param name="Case">Which random model.</param>
/// <param name="Type">Type of its matrices.</param>
/// <param name="Position">The position.</param>
/// <param name="OwnError">Relative root mean square of our logits' errors.</param>
/// <param name="PeerError">That of llama.cpp's; null where it computes something else than the file declares, or was left out.</param>
internal sealed record FidelityCell(string Case, TensorType Type, int Position, double OwnError, double? PeerError);

/// <summary>Distances of both engines from double precision.</summary>
/// <param name="OwnKernels">The instruction set of our kernels.</param>
/// <param name="PeerVersion">llama.cpp's version; null if it was left out.</param>
/// <param name="PeerBackend">The instruction set that its CPU backend was built for.</param>
/// <param name="CacheType">How both keep keys and values.</param>
/// <param name="Cells">The distances.</param>
internal sealed record FidelityReport(string OwnKernels, string? PeerVersion, string? PeerBackend, KVElementType CacheType, IReadOnlyList<FidelityCell> Cells)
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true, Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>All of it, for programs.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, s_json);

    /// <summary>A table with the worst position of each model and type.</summary>
    public string ToMarkdown()
    {
        TensorType[] types = [.. Cells.Select(cell => cell.Type).Distinct()];
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"| model | | {string.Join(" | ", types)} |\n|---|---|{string.Concat(Enumerable.Repeat("---:|", types.Length))}\n");
        foreach (IGrouping<string, FidelityCell> model in Cells.GroupBy(cell => cell.Case))
        {
            Row(model.Key, "MLFramework", cells => cells.Max(cell => cell.OwnError));
            Row("", "llama.cpp", cells => cells.Max(cell => cell.PeerError));

            void Row(string title, string engine, Func<IEnumerable<FidelityCell>, double?> worst) => text.Append(CultureInfo.InvariantCulture,
                $"| {title} | {engine} | {string.Join(" | ", types.Select(type => model.Any(cell => cell.Type == type) ? Number(worst(model.Where(cell => cell.Type == type))) : ""))} |\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"\nRelative RMS of the logits' errors against double precision, the worst of positions {string.Join(", ", Cells.Select(cell => cell.Position).Distinct())}; ");
        text.Append(CultureInfo.InvariantCulture, $"keys and values in {CacheType}; our kernels: {OwnKernels}");
        if (PeerVersion is not null) text.Append(CultureInfo.InvariantCulture, $"; llama.cpp {PeerVersion} with its backend {PeerBackend}");
        return text.Append(".\n").ToString();
    }

    /// <summary>A cell as one line of text.</summary>
    public static string ToLine(FidelityCell cell) =>
        string.Create(CultureInfo.InvariantCulture, $"{cell.Case,-14} {cell.Type,-5} position {cell.Position,4}  ours {Number(cell.OwnError)}  llama.cpp {Number(cell.PeerError)}");

    private static string Number(double? error) => error is { } value ? value.ToString("0.0e-0", CultureInfo.InvariantCulture) : "–";
}
