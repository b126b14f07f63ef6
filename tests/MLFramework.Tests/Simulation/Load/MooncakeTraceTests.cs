using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class MooncakeTraceTests
{
    [Test]
    public void Hash_ids_become_segments_and_the_last_is_cut_to_the_prompt()
    {
        Arrival arrival = Read("""{"timestamp": 27000, "input_length": 1100, "output_length": 5, "hash_ids": [0, 46, 47]}""").Single();
        Assert.That(arrival.Time, Is.EqualTo(TimeSpan.FromSeconds(27)));
        Assert.That(arrival.Prompt, Is.EqualTo(new[] { new PromptSegment(0, 512), new PromptSegment(46, 512), new PromptSegment(47, 76) }));
        Assert.That((arrival.PromptTokens, arrival.OutputTokens), Is.EqualTo((1100, 5)));
    }

    [TestCase("nonsense", "no JSON object")]
    [TestCase("null", "null")]
    [TestCase("[]", "no JSON object")]
    [TestCase("""{"timestamp": 0, "input_length": 5, "output_length": 5}""", "hash_ids")]
    [TestCase("""{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": null}""", "hash_ids")]
    [TestCase("""{"timestamp": -1, "input_length": 5, "output_length": 5, "hash_ids": [1]}""", "timestamp")]
    [TestCase("""{"timestamp": 1e300, "input_length": 5, "output_length": 5, "hash_ids": [1]}""", "timestamp")]
    [TestCase("""{"timestamp": 0, "input_length": 0, "output_length": 5, "hash_ids": []}""", "input_length")]
    [TestCase("""{"timestamp": 0, "input_length": 5, "output_length": 0, "hash_ids": [1]}""", "output_length")]
    [TestCase("""{"timestamp": 0, "input_length": 2147483647, "output_length": 5, "hash_ids": [1]}""", "input_length")]
    [TestCase("""{"timestamp": 0, "input_length": 513, "output_length": 5, "hash_ids": [1]}""", "2 hash_ids")]
    public void A_bad_row_is_named_by_file_and_line(string row, string says)
    {
        string good = """{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": [1]}""";
        var e = Assert.Throws<TraceFormatException>(() => Read(good + "\n" + row));
        Assert.That(e.Message, Does.StartWith("t.jsonl(2): ").And.Contains(says));
    }

    [Test]
    public void A_row_that_goes_back_in_time_is_refused()
    {
        string row(int at) => $$"""{"timestamp": {{at}}, "input_length": 5, "output_length": 5, "hash_ids": [1]}""";
        Assert.That(() => Read(row(5) + "\n" + row(4)), Throws.InstanceOf<TraceFormatException>().With.Message.Contains("sort"));
    }

    private static List<Arrival> Read(string text)
    {
        using var reader = new StringReader(text);
        return [.. MooncakeTrace.Read(reader, "t.jsonl")];
    }
}
