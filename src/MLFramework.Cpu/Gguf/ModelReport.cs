using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace MLFramework.Cpu;

/// <summary>A metadata entry as it is shown.</summary>
/// <param name="Key">The key.</param>
/// <param name="Type">Its type; arrays name their elements.</param>
/// <param name="Value">Its value, shortened.</param>
public sealed record MetadataReport(string Key, string Type, string Value);

/// <summary>A tensor as it is shown.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">How it is stored.</param>
/// <param name="Shape">Its dimensions, fastest first.</param>
/// <param name="Bytes">Its bytes.</param>
public sealed record TensorReport(string Name, TensorType Type, ImmutableArray<long> Shape, long Bytes);

/// <summary>All tensors of one type.</summary>
/// <param name="Type">The type.</param>
/// <param name="Tensors">How many.</param>
/// <param name="Elements">Their elements.</param>
/// <param name="Bytes">Their bytes.</param>
public sealed record TensorTypeReport(TensorType Type, int Tensors, long Elements, long Bytes);

/// <summary>What a model takes at run time.</summary>
/// <param name="WeightBytes">All tensors as they are stored.</param>
/// <param name="ContextLength">Tokens that the model was trained to see; null if the file does not say.</param>
/// <param name="KvBytesPerToken">Keys and values of one token in all layers, at 16 bits; null if the file does not say enough.</param>
public sealed record MemoryReport(long WeightBytes, int? ContextLength, long? KvBytesPerToken)
{
    /// <summary>Keys and values of one sequence of the full context.</summary>
    public long? KvBytesPerFullContext => KvBytesPerToken * ContextLength;
}

/// <summary>What is in a GGUF model: the data behind <c>mlf inspect</c>.</summary>
/// <param name="Files">Paths, empty for a model in memory.</param>
/// <param name="Version">Version of the format.</param>
/// <param name="Architecture"><c>general.architecture</c>, or null.</param>
/// <param name="Name"><c>general.name</c>, or null.</param>
/// <param name="Parameters">Elements of all tensors.</param>
/// <param name="FileBytes">Bytes of all files.</param>
/// <param name="Memory">What it takes at run time.</param>
/// <param name="Metadata">Entries in the order of the file.</param>
/// <param name="Types">Tensor types, most bytes first.</param>
/// <param name="Tensors">Tensors in the order of the file.</param>
public sealed record ModelReport(
    IReadOnlyList<string> Files, int Version, string? Architecture, string? Name, long Parameters, long FileBytes, MemoryReport Memory,
    IReadOnlyList<MetadataReport> Metadata, IReadOnlyList<TensorTypeReport> Types, IReadOnlyList<TensorReport> Tensors)
{
    /// <summary>The report as text, for a terminal.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        foreach (string file in Files) Line($"{file}");
        string title = Name is null ? "" : $", {Name}";
        Line($"GGUF v{Version}, {Architecture ?? "no architecture"}{title}: {Parameters:N0} parameters in {Tensors.Count} tensors, {Size(FileBytes)}");
        Line($"");
        Line($"Memory");
        Line($"  weights  {Size(Memory.WeightBytes)}");
        if (Memory.KvBytesPerToken is { } perToken) Line($"  KV cache {Size(perToken)} per token in F16");
        if (Memory.KvBytesPerFullContext is { } full) Line($"           {Size(full)} for one sequence of {Memory.ContextLength:N0} tokens");
        Line($"");
        Line($"Types");
        foreach (TensorTypeReport type in Types)
            Line($"  {type.Type,-5} {type.Tensors,4} tensors {type.Elements,15:N0} elements {Size(type.Bytes),10}");
        Line($"");
        Line($"Metadata ({Metadata.Count})");
        int width = Metadata.Select(entry => entry.Key.Length).DefaultIfEmpty().Max();
        foreach (MetadataReport entry in Metadata) Line($"  {entry.Key.PadRight(width)} = {entry.Value}");
        Line($"");
        Line($"Tensors ({Tensors.Count})");
        width = Tensors.Select(tensor => tensor.Name.Length).DefaultIfEmpty().Max();
        foreach (TensorReport tensor in Tensors)
            Line($"  {tensor.Name.PadRight(width)} {tensor.Type,-5} [{string.Join(", ", tensor.Shape)}] {Size(tensor.Bytes)}");
        return text.ToString();

        void Line(FormattableString line) => text.Append(ControlCharacters.Escape(line.ToString(CultureInfo.InvariantCulture))).Append('\n');
    }

    private static string Size(long bytes) => bytes switch
    {
        < 1 << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:F1} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1024.0 * 1024):F1} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1024.0 * 1024 * 1024):F2} GiB"),
    };
}
