using System.Text.Json;

namespace MLFramework.Compare;

/// <summary>Prompts with llama.cpp's greedy continuations: <c>greedy_ref.json</c>, beside a model.</summary>
/// <param name="PromptIds">The prompts.</param>
/// <param name="GreedyIds">Their continuations.</param>
internal sealed record GreedyReferenceFile(int[][] PromptIds, int[][] GreedyIds)
{
    /// <summary>Reads a file: an array of entries, or an object whose <c>results</c> are one.</summary>
    /// <exception cref="CompareException">It is neither.</exception>
    public static GreedyReferenceFile Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement entries = document.RootElement.ValueKind == JsonValueKind.Array ? document.RootElement : document.RootElement.GetProperty("results");
            return new GreedyReferenceFile(Column("prompt_ids"), Column("greedy_ids"));

            int[][] Column(string name) => [.. entries.EnumerateArray().Select(entry => entry.GetProperty(name).EnumerateArray().Select(id => id.GetInt32()).ToArray())];
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new CompareException($"{path} is no list of entries with prompt_ids and greedy_ids: {e.Message}", e);
        }
    }

    /// <summary>The reference that belongs to a model file: <c>greedy_ref_TYPE.json</c> for <c>name-TYPE.gguf</c>, else <c>greedy_ref.json</c>; null for none.</summary>
    public static string? FindFor(string model)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(model))!, name = Path.GetFileNameWithoutExtension(model);
        string[] candidates = [$"greedy_ref_{name[(name.LastIndexOf('-') + 1)..]}.json", "greedy_ref.json"];
        return candidates.Select(file => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
    }
}
