using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>Reads prompts, one JSON object per line, and checks every member.</summary>
/// <param name="defaults">What prompts have that do not say otherwise.</param>
/// <param name="setting">A description of everything else that results depend on, for fingerprints.</param>
internal sealed class PromptParser(PromptDefaults defaults, string setting)
{
    private const int MostTokens = 1 << 24, MostStops = 64;

    private static readonly string[] Members =
    [
        "prompt", "promptIds", "messages", "id", "metadata", "priority", "tenant", "maxTokens", "temperature", "topP", "topK", "frequencyPenalty",
        "presencePenalty", "seed", "stop", "ignoreEos", "logprobs", "timeout", "deadline",
    ];

    private static readonly string[] Sources = ["prompt", "promptIds", "messages"];

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly byte[] _setting = SHA256.HashData(Encoding.UTF8.GetBytes(setting));

    /// <summary>Reads one prompt.</summary>
    /// <param name="line">The line.</param>
    /// <param name="index">Its place among the prompts.</param>
    /// <param name="endOffset">Bytes of the file up to its end.</param>
    /// <exception cref="FormatException">It is none; the message says why, as the rest of a sentence that begins with the line's place.</exception>
    public PromptLine Parse(ReadOnlyMemory<byte> line, long index, long endOffset)
    {
        if (!Utf8.IsValid(line.Span))
        {
            throw new FormatException("the line is not UTF-8; convert the file");
        }

        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(line, Strict);
        }
        catch (JsonException e)
        {
            string where = e.BytePositionInLine is { } position ? $" at byte {position}" : string.Empty;
            throw new FormatException($"the line is no JSON{where}; each must be one object, such as {{\"prompt\": \"Once upon a time\"}} ({e.Message})", e);
        }

        using (document)
        {
            try
            {
                return Read(document.RootElement, line.Span, index, endOffset);
            }
            catch (InvalidOperationException e)
            {
                // JSON can escape halves of surrogate pairs, which no text holds.
                throw new FormatException($"the line holds a text that is none ({e.Message})", e);
            }
        }
    }

    private PromptLine Read(JsonElement root, ReadOnlySpan<byte> line, long index, long endOffset)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException($"the line is {Kind(root)}, not an object such as {{\"prompt\": \"Once upon a time\"}}");
        }

        foreach (JsonProperty property in root.EnumerateObject())
        {
            if (!Members.Contains(property.Name))
            {
                throw new FormatException($"\"{property.Name}\" is unknown; known are {string.Join(", ", Members)}");
            }
        }

        JsonElement? Find(string name) => root.TryGetProperty(name, out JsonElement value) ? value : null;
        T? Number<T>(string name, Func<JsonElement, T?> read, string range) where T : struct =>
            Find(name) is not { } value ? null : value.ValueKind == JsonValueKind.Number && read(value) is { } number ? number : throw Bad(name, $"must be {range}");
        int? Integer(string name, int min, int max) =>
            Number<int>(name, value => value.TryGetInt32(out int n) && n >= min && n <= max ? n : null, $"a whole number from {min} to {max}");
        float? Real(string name, double min, double max) =>
            Number<float>(name, value => value.TryGetDouble(out double x) && x >= min && x <= max ? (float)x : null, FormattableString.Invariant($"a number from {min} to {max}"));

        CheckSource(Find);
        GenerationOptions options = defaults.Options;
        return new PromptLine(index, FingerprintOf(line), endOffset)
        {
            Prompt = Find("prompt") is { } prompt ? Text("prompt", prompt) : null,
            PromptIds = Find("promptIds") is { } ids ? Ids(ids) : null,
            Messages = Find("messages") is { } messages ? Conversation(messages) : null,
            Id = Find("id")?.GetRawText(),
            Metadata = Find("metadata")?.GetRawText(),
            Priority = Find("priority") is { } priority ? PriorityOf(priority) : Priority.Normal,
            Deadline = Find("deadline") is { } deadline ? Moment(deadline) : null,
            MaxTokens = Integer("maxTokens", 1, MostTokens) ?? defaults.MaxTokens,
            Options = options with
            {
                Temperature = Real("temperature", 0, 2) ?? options.Temperature,
                TopP = Real("topP", 1e-6, 1) ?? options.TopP,
                TopK = Integer("topK", 1, int.MaxValue) ?? options.TopK,
                FrequencyPenalty = Real("frequencyPenalty", -2, 2) ?? options.FrequencyPenalty,
                PresencePenalty = Real("presencePenalty", -2, 2) ?? options.PresencePenalty,
                Seed = Integer("seed", 0, int.MaxValue) ?? SeedOf(defaults.Seed, index),
                StopSequences = Find("stop") is { } stop ? Stops(stop) : options.StopSequences,
                IgnoreEos = Find("ignoreEos") is { } ignore ? Flag("ignoreEos", ignore) : options.IgnoreEos,
                TopLogProbs = Integer("logprobs", 0, GenerationOptions.MaxTopLogProbs) ?? options.TopLogProbs,
                Tenant = Find("tenant") is { } tenant ? Text("tenant", tenant) : null,
                TimeLimit = Find("timeout") is { } timeout ? Duration(timeout) : null,
            },
        };
    }

    private static void CheckSource(Func<string, JsonElement?> find)
    {
        string[] sources = [.. Sources.Where(name => find(name) is not null)];
        if (sources.Length != 1)
        {
            throw new FormatException(sources.Length == 0
                ? "there is nothing to continue: give a \"prompt\", \"promptIds\" or \"messages\""
                : $"{string.Join(" and ", sources)} say the same thing twice; drop one");
        }
    }

    private static string Text(string name, JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : throw Bad(name, "must be a text that is not empty");

    private static bool Flag(string name, JsonElement value) =>
        value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Bad(name, "must be true or false");

    private static int[] Ids(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
        {
            throw Bad("promptIds", "must be a list of token ids that is not empty");
        }

        return [.. value.EnumerateArray().Select(id =>
            id.ValueKind == JsonValueKind.Number && id.TryGetInt32(out int n) && n >= 0 ? n : throw Bad("promptIds", $"holds {id.GetRawText()}, which is no token id"))];
    }

    private static ChatMessage[] Conversation(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
        {
            throw Bad("messages", "must be a list of messages that is not empty");
        }

        return [.. value.EnumerateArray().Select(message =>
            message.ValueKind == JsonValueKind.Object && message.EnumerateObject().Count() == 2
            && message.TryGetProperty("role", out JsonElement role) && role.ValueKind == JsonValueKind.String
            && message.TryGetProperty("content", out JsonElement content) && content.ValueKind == JsonValueKind.String
                ? new ChatMessage(role.GetString()!, content.GetString()!)
                : throw Bad("messages", "must hold messages such as {\"role\": \"user\", \"content\": \"Hello\"}"))];
    }

    private static Priority PriorityOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && Enum.GetValues<Priority>().Where(p => $"{p}".Equals(value.GetString(), StringComparison.OrdinalIgnoreCase)).ToArray() is [var priority]
            ? priority
            : throw Bad("priority", $"must be one of {string.Join(", ", Enum.GetNames<Priority>()).ToLowerInvariant()}");

    private static List<string> Stops(JsonElement value)
    {
        List<JsonElement> stops = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
        return stops.Count is >= 1 and <= MostStops
            ? stops.ConvertAll(stop => Text("stop", stop))
            : throw Bad("stop", $"must be a text, or a list of 1 to {MostStops} texts");
    }

    private static TimeSpan Duration(JsonElement value)
    {
        try
        {
            return DurationText.Parse(value.ValueKind == JsonValueKind.String ? value.GetString()! : string.Empty);
        }
        catch (FormatException e)
        {
            throw Bad("timeout", e.Message);
        }
    }

    private static DateTimeOffset Moment(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.TryGetDateTimeOffset(out DateTimeOffset moment)
            ? moment
            : throw Bad("deadline", "must be a moment in ISO 8601, such as \"2030-01-31T12:00:00Z\"");

    private static FormatException Bad(string name, string problem) => new($"\"{name}\" {problem}");

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        _ => value.GetRawText(),
    };

    /// <summary>A prompt's own seed: the same whatever runs beside it.</summary>
    private static int SeedOf(int seed, long index)
    {
        Span<byte> key = stackalloc byte[12], hash = stackalloc byte[SHA256.HashSizeInBytes];
        BinaryPrimitives.WriteInt32LittleEndian(key, seed);
        BinaryPrimitives.WriteInt64LittleEndian(key[4..], index);
        SHA256.HashData(key, hash);
        return BinaryPrimitives.ReadInt32LittleEndian(hash) & int.MaxValue;
    }

    private string FingerprintOf(ReadOnlySpan<byte> line)
    {
        Span<byte> both = stackalloc byte[2 * SHA256.HashSizeInBytes], hash = stackalloc byte[SHA256.HashSizeInBytes];
        _setting.CopyTo(both);
        SHA256.HashData(line, both[SHA256.HashSizeInBytes..]);
        SHA256.HashData(both, hash);
        return Convert.ToHexStringLower(hash[..8]);
    }
}
