using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>A line of the results: <c>{"index":0,"input":"…","id":…,"metadata":…,"promptTokens":…,"tokenIds":[…],"text":"…","finishReason":"…"}</c>, or an <c>error</c> in it.</summary>
internal static class ResultLine
{
    /// <summary>The member that a failed prompt has.</summary>
    public const string ErrorMember = "error";

    private static readonly JsonWriterOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>With what the line of a prompt begins.</summary>
    public static byte[] Beginning(PromptLine line) => Encoding.UTF8.GetBytes(FormattableString.Invariant($"{{\"index\":{line.Index},\"input\":\"{line.Fingerprint}\""));

    /// <summary>Writes a line, its line feed included.</summary>
    /// <param name="outcome">What came of a prompt.</param>
    /// <param name="withTimings">Whether to say how long it took, which no two runs agree on.</param>
    public static ReadOnlyMemory<byte> Write(JobOutcome outcome, bool withTimings)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer, Readable))
        {
            json.WriteStartObject();
            json.WriteNumber("index", outcome.Line.Index);
            json.WriteString("input", outcome.Line.Fingerprint);
            WriteRaw(json, "id", outcome.Line.Id);
            WriteRaw(json, "metadata", outcome.Line.Metadata);
            if (outcome.Error is { } error)
            {
                json.WriteStartObject(ErrorMember);
                json.WriteString("type", outcome.ErrorType);
                json.WriteString("message", error.Message);
                json.WriteEndObject();
            }

            if (outcome.Result is { } result)
            {
                WriteResult(json, outcome.TokenIds, result, withTimings);
            }

            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenMemory;
    }

    private static void WriteResult(Utf8JsonWriter json, IReadOnlyList<int> tokenIds, RequestResult result, bool withTimings)
    {
        json.WriteNumber("promptTokens", result.PromptTokens);
        json.WriteStartArray("tokenIds");
        foreach (int id in tokenIds)
        {
            json.WriteNumberValue(id);
        }

        json.WriteEndArray();
        json.WriteString("text", result.GeneratedText);
        json.WriteString("finishReason", $"{result.Reason}");
        if (result.LogProbs is { } logProbs)
        {
            json.WritePropertyName("logprobs");
            JsonSerializer.Serialize(json, [.. logProbs.Select(LogProbDocument.Of)], GenerateJsonContext.Default.ListLogProbDocument);
        }

        if (withTimings)
        {
            json.WritePropertyName("timings");
            JsonSerializer.Serialize(json, ResponseTimings.Of(result), GenerateJsonContext.Default.ResponseTimings);
        }
    }

    private static void WriteRaw(Utf8JsonWriter json, string name, string? value)
    {
        if (value is not null)
        {
            json.WritePropertyName(name);
            json.WriteRawValue(value);
        }
    }
}
