using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class AzureTraceTests
{
    private const string Header = "TIMESTAMP,ContextTokens,GeneratedTokens";

    [Test]
    public void Rows_become_arrivals_relative_to_the_first()
    {
        List<Arrival> arrivals = Read($"{Header}\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109");
        Assert.That(arrivals.Select(a => a.Time), Is.EqualTo(new[] { TimeSpan.Zero, new TimeSpan(43145790) }));
        Assert.That(arrivals.Select(a => (a.PromptTokens, a.OutputTokens)), Is.EqualTo(new[] { (374, 44), (396, 109) }));
        Assert.That(arrivals[0].Prompt[0].Id, Is.Not.EqualTo(arrivals[1].Prompt[0].Id), "prompts share nothing");
    }

    [Test]
    public void Rows_are_parsed_as_they_are_asked_for()
    {
        using var reader = new StringReader($"{Header}\n2023-11-16 18:15:46.6805900,374,44\nnonsense");
        Assert.That(AzureTrace.Read(reader, "t.csv").First().OutputTokens, Is.EqualTo(44));
    }

    [TestCase("TIMESTAMP;ContextTokens", 1, "first line")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,374", 2, "three fields")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,374,44,1", 2, "three fields")]
    [TestCase(Header + "\n2023-11-16T18:15:46,374,44", 2, "timestamp")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,-3,44", 2, "ContextTokens")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,0,44", 2, "ContextTokens")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,99999999999,44", 2, "ContextTokens")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,374,4.5", 2, "GeneratedTokens")]
    [TestCase(Header + "\n2023-11-16 18:15:46.6805900,3,4\n2023-11-16 18:15:45.6805900,3,4", 3, "sort")]
    public void A_bad_row_is_named_by_file_and_line(string text, int line, string says)
    {
        var e = Assert.Throws<TraceFormatException>(() => Read(text));
        Assert.That(e.Line, Is.EqualTo(line));
        Assert.That(e.Message, Does.StartWith($"t.csv({line}): ").And.Contains(says));
    }

    private static List<Arrival> Read(string text)
    {
        using var reader = new StringReader(text);
        return [.. AzureTrace.Read(reader, "t.csv")];
    }
}
