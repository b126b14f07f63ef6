using System.Text.Json;

namespace MLFramework.Cpu.Tests;

/// <summary>Trained models that are not part of the repository; tests of them are skipped where they are missing.</summary>
internal static class SharedModels
{
    /// <summary>A model and llama.cpp's greedy continuations, from the nearest folder <c>models</c> in one named <c>shared</c> above the tests.</summary>
    public static (string Path, GreedyReference[] References) Find(string folder, string file)
    {
        for (DirectoryInfo? above = new(AppContext.BaseDirectory); above is not null; above = above.Parent)
        {
            string models = Path.Combine(above.FullName, "shared", "models", folder);
            if (!Directory.Exists(models)) continue;
            byte[] json = File.ReadAllBytes(Path.Combine(models, "greedy_ref.json"));
            return (Path.Combine(models, file), JsonSerializer.Deserialize<GreedyReference[]>(json, TestModels.SnakeCase)!);
        }
        Assert.Ignore($"{folder} is not here: put it into the folder models of a folder named shared above the repository to run this test.");
        return default;
    }
}
