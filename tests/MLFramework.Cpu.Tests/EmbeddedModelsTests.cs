using System.Security.Cryptography;

namespace MLFramework.Cpu.Tests;

public sealed class EmbeddedModelsTests
{
    [Test]
    public void The_models_are_those_of_the_checksums()
    {
        string[][] lines = [.. File.ReadAllLines(Path.Combine(TestModels.Folder, "SHA256SUMS")).Select(line => line.Split("  "))];

        Assert.That(lines.Select(line => line[1]), Is.EqualTo(new[] { "demo-f16.gguf", "demo-q4_0.gguf", "demo-q8_0.gguf" }));
        foreach (string[] line in lines)
            Assert.That(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(TestModels.Folder, line[1])))), Is.EqualTo(line[0]), line[1]);
    }
}
