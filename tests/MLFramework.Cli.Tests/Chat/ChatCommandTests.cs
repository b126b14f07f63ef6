namespace MLFramework.Cli.Tests;

public class ChatCommandTests
{
    [Test]
    public void A_conversation_remembers_what_was_said_and_reuses_what_was_computed()
    {
        (int exitCode, string output, string error) = Chat("What is the capital of Italy?\nAnd of Spain?\n");

        Assert.That(exitCode, Is.EqualTo(ExitCode.Success), error);
        Assert.That(output.Split('\n')[..2], Is.EqualTo(new[] { "The capital of Italy is Rome.", "The capital of Spain is Madrid." }));
        Assert.That(error.Split('\n')[1], Does.Contain("16 cached"));
    }

    [Test]
    public void What_is_cleared_is_forgotten()
    {
        (_, _, string error) = Chat("What is the capital of Italy?\n/clear\nWhat is the capital of Italy?\n");

        string[] lines = error.Split('\n');
        Assert.That(lines[0], Does.Contain("prompt of 17"));
        Assert.That(lines[1], Does.Contain("prompt of 17"));
    }

    [Test]
    public void Nothing_is_read_after_exit()
    {
        (int exitCode, string output, _) = Chat("/exit\nWhat is the capital of Italy?\n");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(output, Is.Empty);
    }

    [Test]
    public void A_question_that_does_not_fit_is_refused_and_the_conversation_goes_on()
    {
        (int exitCode, string output, string error) = Chat($"{string.Join(' ', Enumerable.Repeat("word", 600))}\nWhat is the capital of Italy?\n");
        Assert.That(exitCode, Is.EqualTo(ExitCode.Success));
        Assert.That(error, Does.Contain("and 511 fit"));
        Assert.That(output, Does.StartWith("The capital of Italy is Rome."));
    }

    [Test]
    public void The_assistant_can_be_told_something_first()
    {
        (_, _, string error) = Chat("What is the capital of Italy?\n", "--system", "You are a helpful assistant.");
        Assert.That(error, Does.Match(@"prompt of [2-9]\d\)"));
    }

    private static (int ExitCode, string Output, string Error) Chat(string input, params string[] args) => Shell.Mlf(input, CancellationToken.None, ["chat", .. args]);
}
