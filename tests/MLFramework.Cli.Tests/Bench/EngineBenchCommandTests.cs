using System.Text.Json;

namespace MLFramework.Cli.Tests;

public class EngineBenchCommandTests
{
    [Test]
    public void Each_measurement_is_a_row_of_its_own()
    {
        JsonElement[] rows = Rows("--batch", "1,3", "--prompt", "40", "--context", "20", "--steps", "4", "--threads", "1", "--kv-type", "f32");

        Assert.That(rows.Select(row => row.GetProperty("phase").GetString()), Is.EqualTo(new[] { "load", "prefill", "decode", "decode", "memory" }));
        Assert.That((rows[0].GetProperty("model").GetString(), rows[0].GetProperty("threads").GetInt32(), rows[0].GetProperty("kvType").GetString()), Is.EqualTo(("MLFramework Demo", 1, "F32")));
        Assert.That(rows[1].GetProperty("tokens").GetInt32(), Is.EqualTo(40));
        Assert.That(rows[2..4].Select(row => (row.GetProperty("batch").GetInt32(), row.GetProperty("context").GetInt32())), Is.EqualTo(new[] { (1, 20), (3, 20) }));
        foreach ((JsonElement row, int tokens) in rows[1..4].Zip([40, 1, 3]))
        {
            JsonElement step = row.GetProperty("stepMs");
            Assert.That(step.GetProperty("best").GetDouble(), Is.Positive.And.AtMost(step.GetProperty("median").GetDouble()));
            Assert.That(row.GetProperty("tokensPerSecond").GetDouble(), Is.EqualTo(tokens * 1000 / step.GetProperty("median").GetDouble()).Within(0.1).Percent);
        }

        JsonElement memory = rows[4];
        Assert.That(memory.GetProperty("fileBytes").GetInt64(), Is.EqualTo(new FileInfo(EmbeddedModel.Path).Length));
        foreach (string member in (string[])["packedBytes", "kvBytes", "loadPeakBytes", "peakBytes"])
        {
            Assert.That(memory.GetProperty(member).GetInt64(), Is.Positive, member);
        }
    }

    [Test]
    public void Lengths_that_were_not_asked_for_fit_the_model()
    {
        JsonElement[] rows = Rows("--batch", "1", "--steps", "1", "--threads", "1");
        Assert.That(rows[1].GetProperty("tokens").GetInt32(), Is.EqualTo(511));
        Assert.That(rows[2].GetProperty("context").GetInt32(), Is.EqualTo(256));
    }

    [Test]
    public void People_get_a_table()
    {
        (int exitCode, string output, string error) = Shell.Mlf("bench", "engine", "--batch", "2", "--prompt", "8", "--context", "8", "--steps", "1", "--threads", "1");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output, Does.Contain("MLFramework Demo, 1 thread, keys and values in F16").And.Contain("Prompt of 8").And.Contain("Batch of 2 at 8").And.Contain("Loaded in"));
    }

    [Test]
    public void The_median_of_an_even_number_is_between_the_two_in_the_middle()
    {
        StepTimes times = StepTimes.Of(new[] { 5, 1, 2, 9 }.Select(ms => TimeSpan.FromMilliseconds(ms)));
        Assert.That(times, Is.EqualTo(new StepTimes(3.5, 1)));
        Assert.That(StepTimes.Of([TimeSpan.FromMilliseconds(7)]), Is.EqualTo(new StepTimes(7, 7)));
    }

    [TestCase("a prompt has at most 511", "--prompt", "512")]
    [TestCase("the steps need 40 of them", "--context", "473")]
    [TestCase("the steps need 1005 of them", "--steps", "1000")]
    [TestCase("must be batch sizes from 1 to 1024", "--batch", "1,0")]
    [TestCase("must be one of f16, f32, q8_0", "--kv-type", "f64")]
    [TestCase("no-such-file.gguf", "--model", "no-such-file.gguf")]
    public void What_makes_no_sense_is_a_usage_error_that_says_why(string says, params string[] args)
    {
        (int exitCode, _, string error) = Shell.Mlf(["bench", "engine", .. args]);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.StartWith("mlf: ").And.Contain(says));
    }

    [Test]
    public void Interrupting_ends_the_command()
    {
        (int exitCode, _, _) = Shell.Mlf(new CancellationToken(canceled: true), "bench", "engine");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Interrupted));
    }

    private static JsonElement[] Rows(params string[] args)
    {
        (int exitCode, string output, string error) = Shell.Mlf(["bench", "engine", "--json", .. args]);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
    }
}
