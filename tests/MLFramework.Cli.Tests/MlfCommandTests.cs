namespace MLFramework.Cli.Tests;

public class MlfCommandTests
{
    [Test]
    public void Without_a_command_it_shows_what_there_is()
    {
        (int exitCode, string output, string error) = Shell.Mlf();
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(output, Does.Contain("simulate"));
        Assert.That(error, Is.Empty);
    }

    [TestCase("--help", "simulate")]
    [TestCase("--version", "0.")]
    [TestCase("simulate --help", "--trace")]
    public void What_was_asked_for_goes_to_standard_output(string args, string says)
    {
        (int exitCode, string output, string error) = Shell.Mlf(args.Split(' '));
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(output, Does.Contain(says));
        Assert.That(error, Is.Empty);
    }

    [Test]
    public void An_unknown_command_is_a_usage_error_that_says_where_to_look()
    {
        (int exitCode, string output, string error) = Shell.Mlf("simulat");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.StartWith("mlf: ").And.Contains("simulat").And.Contains("mlf --help"));
    }

    [Test]
    public void An_interrupted_command_says_so()
    {
        (int exitCode, string output, string error) = Shell.Mlf(new CancellationToken(canceled: true), "simulate", "--requests", "10");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Interrupted));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.Contain("interrupted"));
    }
}
