using System.Text;
using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli.Tests;

public class PromptParserTests
{
    private static readonly PromptDefaults Defaults = new(100, GenerationOptions.Default with { Temperature = 0.5f, TopK = 7 }, Seed: 3);

    [Test]
    public void A_prompt_has_its_own_of_everything()
    {
        PromptLine line = Parse("""
            {"prompt": "Hi", "id": 7, "metadata": {"a": [1, "é"]}, "priority": "URGENT", "tenant": "x", "maxTokens": 5, "temperature": 0, "topP": 0.5, "topK": 3,
             "frequencyPenalty": -1, "presencePenalty": 2, "seed": 9, "stop": ["a", "b"], "ignoreEos": true, "logprobs": 2, "timeout": "1.5s", "deadline": "2030-01-31T12:00:00+01:00"}
            """);

        Assert.That((line.Prompt, line.PromptIds, line.Messages, line.MaxTokens, line.Priority), Is.EqualTo(("Hi", (int[]?)null, (IReadOnlyList<ChatMessage>?)null, 5, Priority.Urgent)));
        Assert.That((line.Id, line.Metadata), Is.EqualTo(("7", "{\"a\": [1, \"é\"]}")));
        Assert.That(line.Deadline, Is.EqualTo(new DateTimeOffset(2030, 1, 31, 12, 0, 0, TimeSpan.FromHours(1))));
        GenerationOptions options = line.Options;
        Assert.That((options.Temperature, options.TopP, options.TopK, options.FrequencyPenalty, options.PresencePenalty), Is.EqualTo((0f, 0.5f, 3, -1f, 2f)));
        Assert.That((options.Seed, options.IgnoreEos, options.TopLogProbs, options.Tenant, options.TimeLimit), Is.EqualTo((9, true, 2, "x", TimeSpan.FromSeconds(1.5))));
        Assert.That(options.StopSequences, Is.EqualTo(new[] { "a", "b" }));
    }

    [Test]
    public void What_a_prompt_does_not_say_is_as_the_command_line_says()
    {
        PromptLine line = Parse("""{"promptIds": [1, 2]}""");
        Assert.That(line.PromptIds, Is.EqualTo(new[] { 1, 2 }));
        Assert.That((line.MaxTokens, line.Options.Temperature, line.Options.TopK, line.Priority, line.Deadline, line.Options.TimeLimit), Is.EqualTo((100, 0.5f, 7, Priority.Normal, (DateTimeOffset?)null, (TimeSpan?)null)));
    }

    [Test]
    public void Messages_are_a_conversation() =>
        Assert.That(Parse("""{"messages": [{"role": "system", "content": ""}, {"content": "Hi", "role": "user"}]}""").Messages, Is.EqualTo(new ChatMessage[] { new("system", ""), new("user", "Hi") }));

    [Test]
    public void A_seed_depends_on_the_command_lines_and_on_the_place_in_the_file()
    {
        int?[] seeds = [.. Enumerable.Range(0, 100).Select(i => Parse("""{"prompt": "a"}""", i).Options.Seed)];
        Assert.That(seeds, Is.Unique.And.All.GreaterThanOrEqualTo(0));
        Assert.That(Parse("""{"prompt": "b"}""", 5).Options.Seed, Is.EqualTo(seeds[5]));
        Assert.That(Parse("""{"prompt": "a"}""", 5, Defaults with { Seed = 4 }).Options.Seed, Is.Not.EqualTo(seeds[5]));
    }

    [Test]
    public void A_fingerprint_tells_the_line_and_the_setting()
    {
        string[] fingerprints =
        [
            Parse("""{"prompt": "a"}""").Fingerprint, Parse("""{"prompt": "b"}""").Fingerprint, Parse("""{"prompt":"a"}""").Fingerprint,
            Parse("""{"prompt": "a"}""", setting: "another").Fingerprint,
        ];
        Assert.That(fingerprints, Is.Unique.And.All.Length.EqualTo(16));
        Assert.That(Parse("""{"prompt": "a"}""", 77).Fingerprint, Is.EqualTo(fingerprints[0]), "The place is told beside it.");
    }

    [TestCase("", "the line is no JSON")]
    [TestCase("{\"prompt\": \"a\"", "the line is no JSON")]
    [TestCase("{\"prompt\": \"a\"} {}", "the line is no JSON")]
    [TestCase("{\"prompt\": \"a\", \"temperature\": NaN}", "the line is no JSON at byte 31")]
    [TestCase("{\"prompt\": \"a\", \"prompt\": \"b\"}", "the line is no JSON")]
    [TestCase("[1]", "the line is a list")]
    [TestCase("\"Once\"", "the line is a text")]
    [TestCase("null", "the line is null")]
    [TestCase("{}", "there is nothing to continue")]
    [TestCase("{\"prompt\": \"a\", \"promptIds\": [1]}", "prompt and promptIds say the same thing twice")]
    [TestCase("{\"prompt\": \"a\", \"max_tokens\": 5}", "\"max_tokens\" is unknown; known are prompt, .*maxTokens")]
    [TestCase("{\"prompt\": \"\"}", "\"prompt\" must be a text that is not empty")]
    [TestCase("{\"prompt\": null}", "\"prompt\" must be a text that is not empty")]
    [TestCase("{\"prompt\": 5}", "\"prompt\" must be a text")]
    [TestCase("{\"promptIds\": []}", "\"promptIds\" must be a list of token ids")]
    [TestCase("{\"promptIds\": [1, -1]}", "\"promptIds\" holds -1")]
    [TestCase("{\"promptIds\": [1.5]}", "\"promptIds\" holds 1.5")]
    [TestCase("{\"messages\": []}", "\"messages\" must be a list of messages")]
    [TestCase("{\"messages\": [{\"role\": \"user\"}]}", "\"messages\" must hold messages such as")]
    [TestCase("{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"name\": \"b\"}]}", "\"messages\" must hold messages such as")]
    [TestCase("{\"prompt\": \"a\", \"priority\": \"2\"}", "\"priority\" must be one of low, normal, high, urgent")]
    [TestCase("{\"prompt\": \"a\", \"tenant\": \"\"}", "\"tenant\" must be a text")]
    [TestCase("{\"prompt\": \"a\", \"maxTokens\": 0}", "\"maxTokens\" must be a whole number from 1")]
    [TestCase("{\"prompt\": \"a\", \"maxTokens\": 1.5}", "\"maxTokens\" must be a whole number")]
    [TestCase("{\"prompt\": \"a\", \"temperature\": 1e999}", "\"temperature\" must be a number from 0 to 2")]
    [TestCase("{\"prompt\": \"a\", \"temperature\": \"1\"}", "\"temperature\" must be a number")]
    [TestCase("{\"prompt\": \"a\", \"topP\": 0}", "\"topP\" must be a number")]
    [TestCase("{\"prompt\": \"a\", \"seed\": -1}", "\"seed\" must be a whole number from 0")]
    [TestCase("{\"prompt\": \"a\", \"stop\": []}", "\"stop\" must be a text, or a list")]
    [TestCase("{\"prompt\": \"a\", \"stop\": [\"\"]}", "\"stop\" must be a text that is not empty")]
    [TestCase("{\"prompt\": \"a\", \"ignoreEos\": 1}", "\"ignoreEos\" must be true or false")]
    [TestCase("{\"prompt\": \"a\", \"logprobs\": 21}", "\"logprobs\" must be a whole number from 0 to 20")]
    [TestCase("{\"prompt\": \"a\", \"timeout\": 5}", "\"timeout\" must be a duration")]
    [TestCase("{\"prompt\": \"a\", \"deadline\": \"tomorrow\"}", "\"deadline\" must be a moment in ISO 8601")]
    public void What_is_no_prompt_is_refused_with_a_reason(string line, string reason) =>
        Assert.That(() => Parse(line), Throws.TypeOf<FormatException>().With.Message.Match("^" + reason));

    [Test]
    public void Bytes_that_are_no_text_are_refused() =>
        Assert.That(() => new PromptParser(Defaults, "").Parse(new byte[] { (byte)'{', 0xFF, (byte)'}' }, 0, 0), Throws.TypeOf<FormatException>().With.Message.Contains("not UTF-8"));

    [Test]
    public void Half_of_a_surrogate_pair_is_refused() =>
        Assert.That(() => Parse("""{"prompt": "\ud83d"}"""), Throws.TypeOf<FormatException>());

    private static PromptLine Parse(string line, long index = 0, PromptDefaults? defaults = null, string setting = "setting") =>
        new PromptParser(defaults ?? Defaults, setting).Parse(Encoding.UTF8.GetBytes(line), index, 0);
}
