using System.Text.Json;

namespace MLFramework.Cli.Tests;

public sealed class GenerateJobTests : IDisposable
{
    private static readonly string[] Texts = ["The capital of France is", "Once upon a time", "The moon is", "Two plus two is"];

    private readonly TemporaryFolder _folder = new();

    private string Prompts => _folder.File("prompts.jsonl");

    private string Results => _folder.File("results.jsonl");

    [Test]
    public void Results_are_in_order_with_what_is_to_be_echoed()
    {
        WritePrompts("""{"prompt": "The capital of France is", "id": "first", "metadata": {"n": 1}}""", """{"promptIds": [290, 313, 286, 477, 430, 352, 271], "maxTokens": 2, "logprobs": 1}""",
            "", """{"messages": [{"role": "user", "content": "What is the capital of France?"}], "maxTokens": 40}""");

        (int exitCode, string output, string error) = Run();

        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output, Does.Contain("Throughput").And.Contain("Prefix cache hits"));
        JsonElement[] results = ReadResults();
        Assert.That(results.Select(result => result.GetProperty("index").GetInt32()), Is.EqualTo(new[] { 0, 1, 2 }));
        Assert.That(results[0].GetProperty("text").GetString(), Does.StartWith(" Paris."));
        Assert.That(results[0].GetProperty("id").GetString(), Is.EqualTo("first"));
        Assert.That(results[0].GetProperty("metadata").GetProperty("n").GetInt32(), Is.EqualTo(1));
        Assert.That(results[0].GetProperty("promptTokens").GetInt32(), Is.EqualTo(7));
        Assert.That(results[0].GetProperty("finishReason").GetString(), Is.EqualTo("EosTokenReached"));
        Assert.That(results[1].GetProperty("tokenIds").EnumerateArray().Select(id => id.GetInt32()), Is.EqualTo(results[0].GetProperty("tokenIds").EnumerateArray().Take(2).Select(id => id.GetInt32())));
        Assert.That(results[1].GetProperty("logprobs").GetArrayLength(), Is.EqualTo(2));
        Assert.That(results[2].GetProperty("text").GetString(), Does.Contain("Paris"));
    }

    [Test]
    public void Results_are_the_same_bytes_for_any_concurrency_and_cache()
    {
        WritePrompts(Many(60));
        Assert.That(Run("--max-concurrency", "1", "--context", "128").ExitCode, Is.EqualTo(ExitCode.Success));
        byte[] alone = File.ReadAllBytes(Results);
        foreach (string[] options in (string[][])[["--max-concurrency", "32"], ["--max-concurrency", "7", "--kv-tokens", "160"]])
        {
            (int exitCode, string output, string error) = Run(["--restart", "--json", "--context", "128", .. options]);
            Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
            Assert.That(File.ReadAllBytes(Results), Is.EqualTo(alone));
            if (options.Length > 2)
            {
                Assert.That(JsonDocument.Parse(output).RootElement.GetProperty("preemptions").GetInt64(), Is.Positive, "A cache that small makes requests give way.");
            }
        }
    }

    [Test]
    public void What_was_cut_off_anywhere_is_completed_and_what_was_done_is_not_computed_again()
    {
        WritePrompts(Many(12));
        Run();
        byte[] whole = File.ReadAllBytes(Results);
        int[] ends = [.. Enumerable.Range(0, whole.Length).Where(i => whole[i] == '\n').Select(i => i + 1)];
        // Within a line's beginning and its end, right before and behind a line feed, and nothing at all.
        foreach (int length in (int[])[0, 1, 20, ends[0] - 1, ends[0], ends[3] + 12, ends[6] - 2, ends[^2], whole.Length - 1])
        {
            File.WriteAllBytes(Results, whole[..length]);
            (int exitCode, string output, string error) = Run("--json");

            Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
            Assert.That(File.ReadAllBytes(Results), Is.EqualTo(whole), $"Cut at {length}.");
            JsonElement summary = JsonDocument.Parse(output).RootElement;
            int done = ends.Count(end => end <= length);
            Assert.That((summary.GetProperty("resumed").GetInt32(), summary.GetProperty("computed").GetInt32()), Is.EqualTo((done, 12 - done)));
        }
    }

    [Test]
    public void A_job_that_is_done_computes_nothing()
    {
        WritePrompts(Many(3));
        Run();
        DateTime written = File.GetLastWriteTimeUtc(Results);
        (int exitCode, string output, _) = Run();
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(output, Does.Contain("3 of them done before"));
        Assert.That(File.GetLastWriteTimeUtc(Results), Is.EqualTo(written));
    }

    [Test]
    public void Failures_are_typed_results_and_tell_in_the_exit_code_even_when_resumed()
    {
        WritePrompts("""{"promptIds": [1, 99999], "id": 5}""", """{"prompt": "The moon is", "maxTokens": 2}""", $$"""{"promptIds": [{{string.Join(',', Enumerable.Repeat(1, 600))}}]}""");
        for (int run = 0; run < 2; run++)
        {
            (int exitCode, string output, _) = Run("--json");
            Assert.That(exitCode, Is.EqualTo(ExitCode.Failure));
            Assert.That(JsonDocument.Parse(output).RootElement.GetProperty("failed").GetInt32(), Is.EqualTo(2));
        }

        JsonElement[] results = ReadResults();
        Assert.That(results[0].GetProperty("error").GetProperty("type").GetString(), Is.EqualTo("InvalidRequest"));
        Assert.That(results[0].GetProperty("id").GetInt32(), Is.EqualTo(5));
        Assert.That(results[1].TryGetProperty("error", out _), Is.False);
        Assert.That(results[2].GetProperty("error").GetProperty("type").GetString(), Is.EqualTo("PromptTooLong"));
        Assert.That(results[2].GetProperty("error").GetProperty("message").GetString(), Does.Contain("600 tokens"));
    }

    [Test]
    public void Shared_beginnings_come_from_the_cache_and_change_nothing()
    {
        string shared = string.Concat(Enumerable.Repeat("The lion is a mammal. ", 10));
        WritePrompts([.. Enumerable.Range(0, 12).Select(i => $$"""{"prompt": "{{shared}}{{Texts[i % 4]}}", "maxTokens": 6}""")]);
        (_, string output, _) = Run("--json", "--max-concurrency", "2");
        byte[] cached = File.ReadAllBytes(Results);
        Assert.That(JsonDocument.Parse(output).RootElement.GetProperty("prefixCacheHitRate").GetDouble(), Is.GreaterThan(0.5));

        string[] own = [.. File.ReadAllLines(Prompts).Select((line, i) => line.Replace("\"maxTokens\"", $"\"tenant\": \"t{i}\", \"maxTokens\"", StringComparison.Ordinal))];
        WritePrompts(own);
        (_, output, _) = Run("--json", "--restart");
        Assert.That(JsonDocument.Parse(output).RootElement.GetProperty("prefixCacheHitRate").GetDouble(), Is.Zero, "Tenants share nothing.");
        Assert.That(ReadResults().Select(result => result.GetProperty("text").GetString()), Is.EqualTo(Parse(cached).Select(result => result.GetProperty("text").GetString())));
    }

    [Test]
    public void Times_are_told_where_asked_for()
    {
        WritePrompts(Many(2));
        Run("--timings");
        Assert.That(ReadResults()[1].GetProperty("timings").GetProperty("timeToFirstTokenMs").GetDouble(), Is.Positive);
    }

    [Test]
    public void A_summary_adds_up()
    {
        WritePrompts(Many(20));
        (_, string output, _) = Run("--json", "--max-concurrency", "4");
        JsonElement summary = JsonDocument.Parse(output).RootElement, first = summary.GetProperty("timeToFirstTokenMs"), between = summary.GetProperty("interTokenMs");
        JsonElement[] results = ReadResults();
        int generated = results.Sum(result => result.GetProperty("tokenIds").GetArrayLength());
        Assert.That(summary.GetProperty("generatedTokens").GetInt32(), Is.EqualTo(generated));
        Assert.That(summary.GetProperty("promptTokens").GetInt32(), Is.EqualTo(results.Sum(result => result.GetProperty("promptTokens").GetInt32())));
        Assert.That(first.GetProperty("count").GetInt32(), Is.EqualTo(20));
        Assert.That(between.GetProperty("count").GetInt32(), Is.EqualTo(generated - 20));
        Assert.That(summary.GetProperty("meanBatchSize").GetDouble(), Is.InRange(1, 4));
        Assert.That(summary.GetProperty("batchUtilization").GetDouble(), Is.EqualTo(summary.GetProperty("meanBatchSize").GetDouble() / 4).Within(1e-9));
        Assert.That(summary.GetProperty("finishReasons").EnumerateObject().Sum(reason => reason.Value.GetInt32()), Is.EqualTo(20));
    }

    [Test]
    public void Prompts_that_have_changed_are_noticed_before_anything_is_computed()
    {
        WritePrompts(Many(4));
        Run();
        byte[] results = File.ReadAllBytes(Results);

        string[] changed = Many(4);
        changed[2] = """{"prompt": "Something else"}""";
        WritePrompts(changed);
        AssertRefused($"{Results}:3: prompt 2, the model or an option has changed since this was computed");
        WritePrompts(Many(3));
        AssertRefused($"{Results}:4: there are more results than prompts");
        WritePrompts(Many(4));
        AssertRefused($"{Results}:1: prompt 0, the model or an option has changed", "--temperature", "1");
        Assert.That(File.ReadAllBytes(Results), Is.EqualTo(results));

        WritePrompts(changed);
        Assert.That(Run("--restart").ExitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(ReadResults(), Has.Length.EqualTo(4));
    }

    [TestCase("precious notes without a line feed", ":1: this is no result of mlf generate")]
    [TestCase("precious notes\n", ":1: this is no result of mlf generate")]
    [TestCase("{\"a\": 1}\n", ":1: this is no result of mlf generate")]
    [TestCase("{\"index\":7,\"input\":\"0123456789abcdef\"}\n", ":1: this should be the result of prompt 0")]
    public void A_file_that_holds_something_else_is_not_touched(string content, string says)
    {
        WritePrompts(Many(2));
        File.WriteAllText(Results, content);
        AssertRefused(Results + says);
        Assert.That(File.ReadAllText(Results), Is.EqualTo(content));
    }

    [Test]
    public void A_damaged_line_in_the_middle_is_named()
    {
        WritePrompts(Many(3));
        Run();
        string[] lines = File.ReadAllLines(Results);
        lines[1] = lines[1][..60];
        File.WriteAllLines(Results, lines);
        AssertRefused($"{Results}:2: the line is damaged");
    }

    [TestCase("""{"prompt": "a", "temperature": NaN}""", ":2: the line is no JSON at byte 31")]
    [TestCase("""{"prompt": "a", "max_tokens": 1}""", ":2: \"max_tokens\" is unknown")]
    [TestCase("""{"prompt": "a", "topK": 0}""", ":2: \"topK\" must be a whole number from 1")]
    public void A_line_that_is_no_prompt_is_named_before_anything_is_computed(string line, string says)
    {
        WritePrompts(Many(1)[0], line);
        AssertRefused(Prompts + says);
        Assert.That(File.Exists(Results), Is.False);
    }

    [TestCase("")]
    [TestCase("\n \n\r\n")]
    public void A_file_without_prompts_is_refused(string content)
    {
        File.WriteAllText(Prompts, content);
        AssertRefused("holds no prompts");
    }

    [Test]
    public void A_byte_order_mark_is_no_part_of_a_prompt()
    {
        File.WriteAllText(Prompts, "\uFEFF" + Many(1)[0]);
        Assert.That(Run().ExitCode, Is.EqualTo(ExitCode.Success));
    }

    [Test]
    public void Files_that_cannot_be_used_are_named()
    {
        WritePrompts(Many(1));
        AssertUsage("missing.jsonl", Shell.Mlf("generate", "--prompts", _folder.File("missing.jsonl"), "--out", Results));
        AssertUsage("there is no folder", Shell.Mlf("generate", "--prompts", Prompts, "--out", _folder.File("missing/results.jsonl")));
        AssertUsage("is a folder", Shell.Mlf("generate", "--prompts", Prompts, "--out", _folder.Path));
        AssertUsage("are the same file", Shell.Mlf("generate", "--prompts", Prompts, "--out", Prompts));
        AssertUsage("may need the whole context", Shell.Mlf("generate", "--prompts", Prompts, "--out", Results, "--kv-tokens", "100"));
        AssertUsage("no-such-file.gguf", Shell.Mlf("generate", "--prompts", Prompts, "--out", Results, "--model", "no-such-file.gguf"));
        AssertUsage("--prompts needs --out", Shell.Mlf("generate", "--prompts", Prompts));
        AssertUsage("--out needs --prompts", Shell.Mlf("generate", "Hello", "--out", Results));
        AssertUsage("--max-concurrency needs --prompts", Shell.Mlf("generate", "Hello", "--max-concurrency", "2"));
        AssertUsage("--restart needs --prompts", Shell.Mlf("generate", "Hello", "--restart"));
        AssertUsage("drop PROMPT", Shell.Mlf("generate", "Hello", "--prompts", Prompts, "--out", Results));
    }

    [Test]
    public void Interrupting_says_how_far_it_came_and_a_second_run_goes_on()
    {
        WritePrompts(Many(5));
        (int exitCode, _, _) = Shell.Mlf(new CancellationToken(canceled: true), "generate", "--prompts", Prompts, "--out", Results);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Interrupted));
        Assert.That(Run().ExitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(ReadResults(), Has.Length.EqualTo(5));
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>Prompts of all kinds: greedy and sampled, of several tenants, classes and lengths.</summary>
    private static string[] Many(int count) => [.. Enumerable.Range(0, count).Select(i => JsonSerializer.Serialize(new
    {
        prompt = Texts[i % Texts.Length],
        temperature = i % 3 * 0.6,
        priority = new[] { "low", "normal", "high", "urgent" }[i / 4 % 4],
        tenant = $"tenant {i % 2}",
        maxTokens = 1 + (i * 7 % 40),
        ignoreEos = i % 5 == 0,
    }))];

    private void WritePrompts(params string[] lines) => File.WriteAllLines(Prompts, lines);

    private (int ExitCode, string Output, string Error) Run(params string[] options) => Shell.Mlf(["generate", "--prompts", Prompts, "--out", Results, "--threads", "1", .. options]);

    private void AssertRefused(string says, params string[] options) => AssertUsage(says, Run(options));

    private static void AssertUsage(string says, (int ExitCode, string Output, string Error) ending)
    {
        Assert.That(ending.ExitCode, Is.EqualTo(ExitCode.Usage), ending.Error);
        Assert.That(ending.Output, Is.Empty);
        Assert.That(ending.Error, Does.StartWith("mlf: ").And.Contain(says));
    }

    private JsonElement[] ReadResults() => Parse(File.ReadAllBytes(Results));

    private static JsonElement[] Parse(byte[] lines) =>
        [.. System.Text.Encoding.UTF8.GetString(lines).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
}
