using System.Text.Json;

namespace MLFramework.Cpu.Tests;

/// <summary>The models that tests read.</summary>
internal static class TestModels
{
    internal static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Where the embedded models are, next to the tests.</summary>
    public static string Folder => Path.Combine(TestContext.CurrentContext.TestDirectory, "models");

    public static string Demo(string type) => Path.Combine(Folder, $"demo-{type}.gguf");

    /// <summary>llama.cpp's ids for prompts, and what it continues them with.</summary>
    public static GreedyReference[] GreedyReferences() => References<GreedyReference>("greedy_ref.json");

    /// <summary>llama.cpp's ids and log-probabilities with quantized weights.</summary>
    public static ScoredReference[] ScoredReferences(string type) => References<ScoredReference>($"greedy_ref_{type}.json");

    /// <summary>A file in memory.</summary>
    public static byte[] Write(GgufWriter writer)
    {
        using var stream = new MemoryStream();
        writer.Write(stream);
        return stream.ToArray();
    }

    private static T[] References<T>(string file) =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, file))).RootElement.GetProperty("results").Deserialize<T[]>(SnakeCase)!;
}

/// <summary>One entry of <c>greedy_ref.json</c>.</summary>
internal sealed record GreedyReference(string Prompt, int[] PromptIds, int[] GreedyIds, string Text);

/// <summary>One entry of <c>greedy_ref_q8_0.json</c> or <c>greedy_ref_q4_0.json</c>.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="PromptIds">Its ids.</param>
/// <param name="GreedyIds">The likeliest id at each position, given all before.</param>
/// <param name="LogProbs">Their log-probabilities.</param>
/// <param name="RunnerUpIds">The second likeliest ids.</param>
/// <param name="RunnerUpLogProbs">Their log-probabilities.</param>
internal sealed record ScoredReference(string Prompt, int[] PromptIds, int[] GreedyIds, double[] LogProbs, int[] RunnerUpIds, double[] RunnerUpLogProbs);
