namespace MLFramework.Cli.Tests;

public class InspectCommandTests
{
    [Test]
    public void Without_a_file_it_shows_the_model_that_comes_with_it()
    {
        (int exitCode, string output, string error) = Shell.Mlf("inspect");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output, Does.Contain("MLFramework Demo").And.Contain("llama.block_count").And.Contain("token_embd.weight"));
    }

    [Test]
    public void A_missing_file_is_a_usage_error()
    {
        (int exitCode, string output, string error) = Shell.Mlf("inspect", "no-such-file.gguf");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.Contain("no-such-file.gguf"));
    }
}
