namespace MLFramework.Cli.Tests;

public sealed class MakeModelCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Model => _folder.File("model.gguf");

    [Test]
    public void A_model_is_written_and_generates()
    {
        (int exitCode, string output, string error) = Shell.Mlf("make-model", "--shape", "smollm2-135m", "--type", "q4_0", "--seed", "1", "-o", Model);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.Contain("134.5 million weights, 91.38 MB"));

        (exitCode, output, error) = Shell.Mlf("generate", "Hello", "--model", Model, "--max-tokens", "4", "--ignore-eos");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output, Is.Not.Empty);
        Assert.That(Directory.GetFiles(_folder.Path), Is.EqualTo(new[] { Model }), "Nothing else stays behind.");
    }

    [Test]
    public void A_file_that_exists_stays_as_it_is()
    {
        File.WriteAllText(Model, "precious");
        (int exitCode, _, string error) = Shell.Mlf("make-model", "--shape", "smollm2-135m", "-o", Model);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.Contain("--force"));
        Assert.That(File.ReadAllText(Model), Is.EqualTo("precious"));
    }

    [Test]
    public void Interrupting_leaves_no_half_of_a_file_and_the_old_one_as_it_was()
    {
        File.WriteAllText(Model, "precious");
        (int exitCode, _, _) = Shell.Mlf(new CancellationToken(canceled: true), "make-model", "--shape", "smollm2-135m", "--force", "-o", Model);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Interrupted));
        Assert.That(Directory.GetFiles(_folder.Path), Is.EqualTo(new[] { Model }));
        Assert.That(File.ReadAllText(Model), Is.EqualTo("precious"));
    }

    [Test]
    public void A_folder_that_is_missing_is_named()
    {
        (int exitCode, _, string error) = Shell.Mlf("make-model", "--shape", "smollm2-135m", "-o", _folder.File("missing/model.gguf"));
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.Contain("there is no folder").And.Contain("missing"));
    }

    [Test]
    public void A_folder_is_no_file()
    {
        (int exitCode, _, string error) = Shell.Mlf("make-model", "--shape", "smollm2-135m", "-o", _folder.Path);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.Contain("is a folder"));
    }

    [TestCase("must be one of smollm2-135m", "--shape", "gpt-7", "-o", "x.gguf")]
    [TestCase("must be one of f32, f16, q4_0", "--shape", "smollm2-135m", "--type", "q3_k", "-o", "x.gguf")]
    [TestCase("--shape", "-o", "x.gguf")]
    [TestCase("--output", "--shape", "smollm2-135m")]
    public void What_makes_no_sense_is_a_usage_error_that_says_why(string says, params string[] args)
    {
        (int exitCode, _, string error) = Shell.Mlf(["make-model", .. args]);
        Assert.That(exitCode, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.StartWith("mlf: ").And.Contain(says));
    }

    public void Dispose() => _folder.Dispose();
}
