using System.Text;

namespace MLFramework.Cli.Tests;

public sealed class LineReaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [TestCase("", new string[0])]
    [TestCase("a", new[] { "a" })]
    [TestCase("a\n", new[] { "a" })]
    [TestCase("a\n\nb", new[] { "a", "", "b" })]
    [TestCase("\n", new[] { "" })]
    [TestCase("a\r\nb\n", new[] { "a\r", "b" })]
    public void Lines_end_at_line_feeds_and_at_the_end(string content, string[] expected)
    {
        (string Text, long Position, bool IsWhole)[] lines = Read(content);
        Assert.That(lines.Select(line => line.Text), Is.EqualTo(expected));
        Assert.That(lines.Select(line => line.IsWhole), Is.EqualTo(expected.Select((_, i) => i < expected.Length - 1 || content.EndsWith('\n'))));
        if (lines.Length > 0)
        {
            Assert.That(lines[^1].Position, Is.EqualTo(content.Length));
        }
    }

    [Test]
    public void Lines_are_whole_wherever_the_buffer_ends()
    {
        string[] lines = [.. Enumerable.Range(0, 400).Select(i => new string((char)('a' + (i % 26)), i * i % 3001)), new string('z', 300_000)];
        Assert.That(Read(string.Join('\n', lines) + '\n').Select(line => line.Text), Is.EqualTo(lines));
    }

    private (string Text, long Position, bool IsWhole)[] Read(string content)
    {
        string path = _folder.File("lines");
        File.WriteAllText(path, content);
        using var reader = new LineReader(path);
        var lines = new List<(string, long, bool)>();
        while (reader.TryRead(out ReadOnlyMemory<byte> line))
        {
            Assert.That(reader.Number, Is.EqualTo(lines.Count + 1));
            lines.Add((Encoding.UTF8.GetString(line.Span), reader.Position, reader.IsWhole));
        }

        return [.. lines];
    }

    public void Dispose() => _folder.Dispose();
}
