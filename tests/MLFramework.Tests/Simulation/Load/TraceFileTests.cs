using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public sealed class TraceFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("mlf-traces-");

    public void Dispose() => _folder.Delete(recursive: true);

    [TestCase("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44", 44)]
    [TestCase("a.CSV", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44", 44)]
    [TestCase("a.jsonl", """{"timestamp": 0, "input_length": 5, "output_length": 6, "hash_ids": [1]}""", 6)]
    public void The_extension_says_the_format(string name, string text, int outputTokens) =>
        Assert.That(TraceFile.Read(Write(name, text)).Single().OutputTokens, Is.EqualTo(outputTokens));

    [Test]
    public void Another_extension_is_refused_with_those_that_work() =>
        Assert.That(() => TraceFile.Read(Write("a.txt", "x")), Throws.InstanceOf<NotSupportedException>().With.Message.Contains(".csv").And.Message.Contains(".jsonl"));

    [Test]
    public void An_empty_trace_is_refused() =>
        Assert.That(() => TraceFile.Read(Write("a.jsonl", "")), Throws.InstanceOf<TraceFormatException>().With.Message.Contains("no requests"));

    [Test]
    public void A_missing_file_is_said_to_be_missing() =>
        Assert.That(() => TraceFile.Read(Path.Combine(_folder.FullName, "b.csv")), Throws.InstanceOf<FileNotFoundException>().With.Message.Contains("b.csv"));

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }
}
