namespace MLFramework.Cli;

/// <summary>What there is to do, found by reading all prompts once, and the results of an earlier run beside them.</summary>
/// <param name="Count">Prompts.</param>
/// <param name="HasConversations">Whether some of those to do are conversations.</param>
/// <param name="Finished">What is done already.</param>
internal sealed record class JobPlan(long Count, bool HasConversations, FinishedResults Finished)
{
    /// <summary>Makes the plan. A mistake in the last prompt is found now, not after an hour.</summary>
    /// <exception cref="UsageException">A file cannot be read, a line is no prompt, there are none, or the results are those of other prompts.</exception>
    public static JobPlan Make(JobSettings settings, PromptParser parser, CancellationToken cancellationToken)
    {
        CheckOutput(settings);
        using FinishedResultReader? finished = settings.Restarts ? null : new FinishedResultReader(settings.Output);
        long count = 0;
        bool hasConversations = false;
        foreach (PromptLine prompt in PromptFile.Read(settings.Prompts, parser))
        {
            cancellationToken.ThrowIfCancellationRequested();
            count++;
            finished?.Compare(prompt);
            hasConversations |= prompt.Messages is not null && !(finished?.Finished.Count == count);
        }

        finished?.End();
        return count > 0
            ? new JobPlan(count, hasConversations, finished?.Finished ?? default)
            : throw new UsageException($"{settings.Prompts} holds no prompts; put one JSON object on each line, such as {{\"prompt\": \"Once upon a time\"}}.");
    }

    private static void CheckOutput(JobSettings settings)
    {
        string output = Path.GetFullPath(settings.Output);
        if (output == Path.GetFullPath(settings.Prompts))
        {
            throw new UsageException("--prompts and --out are the same file; name another for the results.");
        }

        if (Directory.Exists(output))
        {
            throw new UsageException($"--out {settings.Output} is a folder; name a file.");
        }

        if (!Directory.Exists(Path.GetDirectoryName(output)))
        {
            throw new UsageException($"--out {settings.Output}: there is no folder {Path.GetDirectoryName(output)}; make it first.");
        }
    }
}
