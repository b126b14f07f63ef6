using System.Text.Json;

namespace MLFramework.Cli.Tests.Simulate;

public sealed class SimulateCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("mlf-simulate-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Test]
    public void A_generated_load_is_reported_as_a_table()
    {
        (int exitCode, string output, string error) = Shell.Mlf("simulate", "--requests", "50");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(error, Is.Empty);
        Assert.That(output, Does.Contain("50 requests (Poisson").And.Contains("Time to first token").And.Contains("Goodput").And.Contains("Utilization"));
        Assert.That(output, Does.Not.Contain("Tenants"), "there is one");
        Assert.That(output, Does.Not.Contain('\u001b'), "no colours in a file");
    }

    [Test]
    public void Json_is_one_document_that_says_what_was_simulated_and_what_came_of_it()
    {
        JsonElement document = Json("--requests", "50", "--seed", "7", "--policy", "fcfs", "--preset", "70b-8xh100");
        Assert.That(document.GetProperty("policy").GetString(), Is.EqualTo("FirstComeFirstServed"));
        Assert.That(document.GetProperty("seed").GetInt32(), Is.EqualTo(7));
        Assert.That(document.GetProperty("preset").GetString(), Is.EqualTo("70b-8xh100"));
        JsonElement report = document.GetProperty("report");
        Assert.That(report.GetProperty("requests").GetProperty("arrived").GetInt32(), Is.EqualTo(50));
        Assert.That(report.GetProperty("latency").GetProperty("timeToFirstToken").GetProperty("p99").GetDouble(), Is.Positive);
        Assert.That(report.GetProperty("goodput").GetProperty("timeToFirstTokenMs").GetDouble(), Is.EqualTo(2000));
    }

    [Test]
    public void The_same_seed_prints_the_same_and_another_does_not()
    {
        string[] args = ["simulate", "--requests", "50", "--tenants", "3", "--priorities", "1:2:1:0", "--json"];
        string first = Shell.Mlf([.. args, "--seed", "1"]).Output;
        Assert.That(Shell.Mlf([.. args, "--seed", "1"]).Output, Is.EqualTo(first));
        Assert.That(Shell.Mlf([.. args, "--seed", "2"]).Output, Is.Not.EqualTo(first));
    }

    [Test]
    public void A_trace_is_replayed_from_its_file()
    {
        string trace = Write("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109");
        JsonElement document = Json("--trace", trace, "--speed", "2");
        Assert.That(document.GetProperty("load").GetString(), Is.EqualTo("2 requests of t.csv at speed ×2"));
        Assert.That(document.GetProperty("report").GetProperty("throughput").GetProperty("generatedTokens").GetInt32(), Is.EqualTo(44 + 109));
    }

    [Test]
    public void Requests_takes_the_beginning_of_a_trace()
    {
        string row = """{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}""" + "\n";
        JsonElement document = Json("--trace", Write("t.jsonl", row + row + row), "--requests", "2");
        Assert.That(document.GetProperty("report").GetProperty("requests").GetProperty("arrived").GetInt32(), Is.EqualTo(2));
    }

    [Test]
    public void Tenants_are_listed_with_their_fairness()
    {
        string output = Shell.Mlf("simulate", "--requests", "50", "--tenants", "2", "--heavy-tenant", "10", "--shared-prefix", "64").Output;
        Assert.That(output, Does.Contain("tenant-1").And.Contains("tenant-2").And.Contains("Jain index"));
    }

    [Test]
    public void A_shared_prefix_is_found_in_the_cache()
    {
        JsonElement document = Json("--requests", "50", "--prompt-tokens", "16", "--shared-prefix", "1600");
        Assert.That(document.GetProperty("report").GetProperty("engine").GetProperty("cacheHitRate").GetDouble(), Is.InRange(0.8, 1));
    }

    [TestCase("--speed 0", "--speed 0: must be a number from 0.001")]
    [TestCase("--speed NaN", "--speed NaN: must be a number")]
    [TestCase("--seed -1", "--seed -1: must be a whole number")]
    [TestCase("--requests many", "--requests many: must be a whole number")]
    [TestCase("--preset 9b", "--preset 9b: must be one of cpu, 8b-h100, 70b-8xh100")]
    [TestCase("--policy lifo", "must be one of full, fcfs, priority, fair")]
    [TestCase("--load uniform", "must be one of poisson, gamma")]
    [TestCase("--slo-ttft 5", "such as 50ms, 1.5s or 2m")]
    [TestCase("--prompt-tokens long", "as 1020~0.5")]
    [TestCase("--priorities 1:2", "four weights")]
    [TestCase("--priorities 0:0:0:0", "four weights")]
    [TestCase("--burstiness 3", "--load gamma")]
    [TestCase("--heavy-tenant 10", "--tenants 2")]
    [TestCase("--trace t.csv --rate 3", "--rate shapes a generated load")]
    [TestCase("--trace t.csv --load gamma", "--load shapes a generated load")]
    [TestCase("--trace missing.csv", "missing.csv")]
    [TestCase("--trace readme.txt", ".jsonl (Mooncake trace)")]
    [TestCase("--max-batch", "--max-batch")]
    [TestCase("--frobnicate", "--frobnicate")]
    public void A_bad_option_is_a_usage_error_that_says_what_would_be_right(string args, string says)
    {
        (int exitCode, string output, string error) = Shell.Mlf(["simulate", .. args.Split(' ')]);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.StartWith("mlf: ").And.Contains(says));
    }

    [Test]
    public void A_bad_row_is_named_by_file_and_line()
    {
        string trace = Write("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,x");
        (int exitCode, _, string error) = Shell.Mlf("simulate", "--trace", trace);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.Contain("t.csv(2): GeneratedTokens").And.Not.Contains("   at "), "no stack trace");
    }

    private static JsonElement Json(params string[] args)
    {
        (int exitCode, string output, string error) = Shell.Mlf(["simulate", .. args, "--json"]);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        using var document = JsonDocument.Parse(output);
        return document.RootElement.Clone();
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }
}
