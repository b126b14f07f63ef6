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
    public static GreedyReference[] GreedyReferences() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "greedy_ref.json"))).RootElement
        .GetProperty("results").Deserialize<GreedyReference[]>(SnakeCase)!;

    /// <summary>A file in memory.</summary>
    public static byte[] Write(GgufWriter writer)
    {
        using var stream = new MemoryStream();
        writer.Write(stream);
        return stream.ToArray();
    }
}

/// <summary>One entry of <c>greedy_ref.json</c>.</summary>
internal sealed record GreedyReference(string Prompt, int[] PromptIds, int[] GreedyIds, string Text);
