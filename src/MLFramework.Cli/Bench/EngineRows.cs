using System.Text.Json;
using System.Text.Json.Serialization;

namespace MLFramework.Cli;

/// <summary>What <c>mlf bench engine --json</c> prints: one of these per line, as it is measured.</summary>
/// <param name="Phase">What was measured.</param>
[JsonDerivedType(typeof(LoadRow))]
[JsonDerivedType(typeof(PrefillRow))]
[JsonDerivedType(typeof(DecodeRow))]
[JsonDerivedType(typeof(MemoryRow))]
internal abstract record class EngineRow([property: JsonPropertyOrder(-1)] string Phase);

/// <summary>Loading the model.</summary>
/// <param name="Model">Its name.</param>
/// <param name="Threads">Threads that compute.</param>
/// <param name="KVType">How keys and values are stored.</param>
/// <param name="Seconds">From opening the file to a model that can run.</param>
internal sealed record class LoadRow(string Model, int Threads, string KVType, double Seconds) : EngineRow("load");

/// <summary>Computing a prompt.</summary>
/// <param name="Tokens">Its tokens.</param>
/// <param name="TokensPerSecond">At the median of the times.</param>
/// <param name="StepMs">Time for the whole prompt, and one token behind it.</param>
internal sealed record class PrefillRow(int Tokens, double TokensPerSecond, StepTimes StepMs) : EngineRow("prefill");

/// <summary>Decoding one token of each request of a batch.</summary>
/// <param name="Batch">Requests.</param>
/// <param name="Context">Tokens that each had computed before the first step.</param>
/// <param name="TokensPerSecond">Of all requests together, at the median of the times.</param>
/// <param name="StepMs">Time for one step.</param>
/// <param name="AllocatedBytesPerStep">Managed bytes that the engine allocates in one of these steps, on average; 0 when it is steady.</param>
internal sealed record class DecodeRow(int Batch, int Context, double TokensPerSecond, StepTimes StepMs, double AllocatedBytesPerStep) : EngineRow("decode");

/// <summary>Memory.</summary>
/// <param name="FileBytes">The model's files.</param>
/// <param name="PackedBytes">Its matrices, packed for the kernels.</param>
/// <param name="KVBytes">Keys and values, if all of the cache is used.</param>
/// <param name="LoadPeakBytes">Most memory that the process had resident when the model was loaded.</param>
/// <param name="PeakBytes">The same at the end.</param>
internal sealed record class MemoryRow(
    long FileBytes, long PackedBytes, [property: JsonPropertyName("kvBytes")] long KVBytes, long LoadPeakBytes, long PeakBytes) : EngineRow("memory");

/// <summary>Times in milliseconds.</summary>
/// <param name="Median">Median.</param>
/// <param name="Best">Shortest.</param>
internal sealed record class StepTimes(double Median, double Best)
{
    /// <summary>Those of some steps, at least one.</summary>
    public static StepTimes Of(IEnumerable<TimeSpan> steps)
    {
        double[] ms = [.. steps.Select(step => step.TotalMilliseconds).Order()];
        double median = ms.Length % 2 == 1 ? ms[ms.Length / 2] : (ms[(ms.Length / 2) - 1] + ms[ms.Length / 2]) / 2;
        return new StepTimes(median, ms[0]);
    }
}

/// <summary>Their serializer, generated at compile time.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(EngineRow))]
internal sealed partial class EngineRowJsonContext : JsonSerializerContext
{
    /// <summary>One line.</summary>
    public static string ToLine(EngineRow row) => JsonSerializer.Serialize(row, row.GetType(), Default);
}
