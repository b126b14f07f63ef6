using System.Diagnostics;
using System.Text.Json;

namespace MLFramework.Cli.Tests;

public class GenerateCommandTests
{
    private const string Prompt = "The capital of France is";

    [Test]
    public void The_capital_of_France_is_Paris()
    {
        (int exitCode, string output, string error) = Shell.Mlf("generate", Prompt);

        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output, Does.StartWith(" Paris."));
        Assert.That(error, Does.Match(@"^\d+ tokens at [\d.]+ tokens/s, first after [\d.]+ ms \(prompt of 7\)\s*$"));
    }

    [Test]
    public void A_document_has_ids_text_log_probabilities_and_times()
    {
        JsonElement document = Generate(Prompt, "--max-tokens", "3", "--logprobs", "2");

        int[] ids = [.. document.GetProperty("tokenIds").EnumerateArray().Select(id => id.GetInt32())];
        Assert.That(ids, Has.Length.EqualTo(3));
        Assert.That(document.GetProperty("text").GetString(), Does.StartWith(" Paris"));
        Assert.That(document.GetProperty("finishReason").GetString(), Is.EqualTo("MaxTokensReached"));
        Assert.That(document.GetProperty("timings").GetProperty("promptTokens").GetInt32(), Is.EqualTo(7));
        JsonElement[] logProbs = [.. document.GetProperty("logprobs").EnumerateArray()];
        Assert.That(logProbs.Select(entry => entry.GetProperty("id").GetInt32()), Is.EqualTo(ids));
        foreach (JsonElement entry in logProbs)
        {
            Assert.That(entry.GetProperty("logprob").GetDouble(), Is.InRange(-20, 0));
            Assert.That(entry.GetProperty("top").EnumerateArray().Select(top => top.GetProperty("logprob").GetDouble()), Is.Ordered.Descending.And.Exactly(2).Items);
            Assert.That(entry.GetProperty("top")[0].GetProperty("id").GetInt32(), Is.EqualTo(entry.GetProperty("id").GetInt32()), "Greedy takes the likeliest.");
        }
    }

    [Test]
    public void Keys_and_values_are_stored_as_asked()
    {
        double[] likeliest = [.. ((string[])["f32", "f16", "q8_0"]).Select(type => Generate(Prompt, "--max-tokens", "1", "--logprobs", "1", "--kv-type", type).GetProperty("logprobs")[0].GetProperty("logprob").GetDouble())];
        Assert.That(likeliest, Is.Unique);
        Assert.That(likeliest[1..], Is.All.EqualTo(likeliest[0]).Within(0.05));
    }

    [Test]
    public void Ids_for_a_prompt_give_what_its_text_gives()
    {
        string ids = string.Join(',', new[] { 290, 313, 286, 477, 430, 352, 271 });
        Assert.That(Text(Generate("--prompt-ids", ids, "--max-tokens", "8")), Is.EqualTo(Text(Generate(Prompt, "--max-tokens", "8"))));
    }

    [Test]
    public void The_same_seed_gives_the_same_response_and_another_seed_another()
    {
        string[] texts = [.. new[] { "1", "1", "2" }.Select(seed => Text(Generate("Once upon a time", "--temperature", "1.5", "--seed", seed, "--max-tokens", "24")))];
        Assert.That(texts[1], Is.EqualTo(texts[0]));
        Assert.That(texts[2], Is.Not.EqualTo(texts[0]));
    }

    [Test]
    public void One_candidate_is_no_choice()
    {
        string greedy = Text(Generate(Prompt, "--max-tokens", "8"));
        Assert.That(Text(Generate(Prompt, "--max-tokens", "8", "--temperature", "2", "--top-k", "1")), Is.EqualTo(greedy));
        Assert.That(Text(Generate(Prompt, "--max-tokens", "8", "--temperature", "2", "--top-p", "0.000001")), Is.EqualTo(greedy));
    }

    [Test]
    public void Ignoring_the_end_token_goes_on_to_the_limit()
    {
        Assert.That(Generate(Prompt, "--max-tokens", "40").GetProperty("finishReason").GetString(), Is.EqualTo("EosTokenReached"));
        Assert.That(Generate(Prompt, "--max-tokens", "40", "--ignore-eos").GetProperty("tokenIds").GetArrayLength(), Is.EqualTo(40));
    }

    [Test]
    public void A_response_ends_where_the_context_does()
    {
        JsonElement document = Generate(Prompt, "--ignore-eos", "--context", "20");
        Assert.That(document.GetProperty("finishReason").GetString(), Is.EqualTo("LengthReached"));
        Assert.That(document.GetProperty("tokenIds").GetArrayLength(), Is.EqualTo(13));
    }

    [TestCase("nothing to continue", "generate")]
    [TestCase("say the same thing twice", "generate", Prompt, "--prompt-ids", "1")]
    [TestCase("token ids of this model go from 0 to 2047", "generate", "--prompt-ids", "1,2048")]
    [TestCase("must be token ids", "generate", "--prompt-ids", "1,x")]
    [TestCase("--logprobs needs --json", "generate", Prompt, "--logprobs", "1")]
    [TestCase("the prompt has 7 tokens, and at most 3 fit", "generate", Prompt, "--context", "4")]
    [TestCase("sees at most 512 tokens", "generate", Prompt, "--context", "513")]
    [TestCase("no-such-file.gguf", "generate", Prompt, "--model", "no-such-file.gguf")]
    [TestCase("must be one of f16, f32, q8_0", "generate", Prompt, "--kv-type", "f64")]
    [TestCase("must be a number from 0 to 2", "generate", Prompt, "--temperature", "3")]
    public void What_makes_no_sense_is_a_usage_error_that_says_why(string says, params string[] args)
    {
        (int exitCode, string output, string error) = Shell.Mlf(args);

        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.StartWith("mlf: ").And.Match(says));
    }

    [Test]
    public void A_file_that_is_no_model_is_named_with_what_is_wrong()
    {
        string path = Path.Combine(TestContext.CurrentContext.WorkDirectory, "not-a-model.gguf");
        File.WriteAllText(path, "This is no model.");

        (int exitCode, _, string error) = Shell.Mlf("generate", Prompt, "--model", path);

        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.Contain(path).And.Contain("magic"));
    }

    [Test]
    public void Interrupting_ends_the_command()
    {
        (int exitCode, _, string error) = Shell.Mlf(new CancellationToken(canceled: true), "generate", Prompt);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Interrupted));
        Assert.That(error, Does.Contain("interrupted"));
    }

    /// <summary>The kernels are one source over vectors of any width, which the runtime carries out with what there is: here with less and less.</summary>
    [Test]
    [CancelAfter(120_000)]
    public async Task Ids_and_log_probabilities_are_the_same_bits_with_an_instruction_set_switched_off(
        [Values("DOTNET_EnableAVX512", "DOTNET_EnableFMA", "DOTNET_EnableAVX2", "DOTNET_EnableAVX", "DOTNET_EnableHWIntrinsic")] string variable,
        [Values("q8_0", "q4_0")] string type, CancellationToken cancellationToken)
    {
        string[] args = [Prompt, "--model", Path.Combine(AppContext.BaseDirectory, "models", $"demo-{type}.gguf"), "--logprobs", "5", "--max-tokens", "10"];
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "mlf.dll"), "generate", .. args, "--json"]) { RedirectStandardOutput = true };
        start.Environment[variable] = "0";
        using Process process = Process.Start(start)!;
        JsonElement without = JsonDocument.Parse(await process.StandardOutput.ReadToEndAsync(cancellationToken)).RootElement;
        await process.WaitForExitAsync(cancellationToken);

        JsonElement with = Generate(args);
        Assert.That(process.ExitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(without.GetProperty("logprobs").GetRawText(), Is.EqualTo(with.GetProperty("logprobs").GetRawText()));
    }

    private static string Text(JsonElement document) => document.GetProperty("text").GetString()!;

    private static JsonElement Generate(params string[] args)
    {
        (int exitCode, string output, string error) = Shell.Mlf(["generate", .. args, "--json"]);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        return JsonDocument.Parse(output).RootElement;
    }
}
