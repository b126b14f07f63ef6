using MLFramework.Cpu;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli;

/// <summary>
/// Runs prompts through scheduler and engine together, and writes their results in order. Of the prompts, a window is in memory: what the scheduler can
/// choose from, and what waits for a result before it.
/// </summary>
/// <param name="session">The model.</param>
/// <param name="template">Renders conversations; null if there are none.</param>
/// <param name="readAhead">Prompts of the window.</param>
/// <param name="ended">Told of every prompt that has ended, in the order of their endings, by one caller at a time.</param>
internal sealed class JobRunner(ModelSession session, IChatTemplate? template, int readAhead, Action<JobOutcome> ended)
{
    /// <summary>Bytes of the file that the window may span, so that long prompts do not fill the memory.</summary>
    private const long MostBytes = 64 * 1024 * 1024;

    private readonly Lock _endings = new();

    /// <summary>Runs all prompts.</summary>
    /// <param name="prompts">The prompts, read as there is room for them.</param>
    /// <param name="write">Takes the results in the order of the prompts.</param>
    /// <param name="cancellationToken">Ends it; results that are complete up to the first that is not are written.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task RunAsync(IEnumerable<PromptLine> prompts, Action<JobOutcome> write, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var window = new Queue<(Task<JobOutcome> Outcome, long EndOffset)>();
        try
        {
            foreach (PromptLine prompt in prompts)
            {
                window.Enqueue((RunAsync(prompt, stop.Token), prompt.EndOffset));
                while (window.TryPeek(out var first) && (first.Outcome.IsCompleted || window.Count >= readAhead || prompt.EndOffset - first.EndOffset > MostBytes))
                {
                    await WriteFirstAsync();
                }
            }

            while (window.Count > 0)
            {
                await WriteFirstAsync();
            }
        }
        finally
        {
            await stop.CancelAsync();
            await ((Task)Task.WhenAll(window.Select(entry => entry.Outcome))).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        async Task WriteFirstAsync() => write(await window.Dequeue().Outcome);
    }

    private async Task<JobOutcome> RunAsync(PromptLine prompt, CancellationToken stop)
    {
        Request? request = null;
        Exception? error = null;
        try
        {
            stop.ThrowIfCancellationRequested();
            request = RequestOf(prompt, stop);
            await session.Scheduler.EnqueueAsync(request).ConfigureAwait(false);
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            // A prompt's failure is its result; the others go on.
            error = e;
        }

        var outcome = new JobOutcome(prompt, request?.GeneratedTokenIds ?? [], request?.Result, error);
        lock (_endings)
        {
            ended(outcome);
        }

        return outcome;
    }

    private Request RequestOf(PromptLine prompt, CancellationToken stop)
    {
        int[]? ids = prompt.PromptIds;
        if (prompt.Messages is { } messages)
        {
            ids = session.Model.Tokenizer.Encode(template!.Render(messages, addGenerationPrompt: true), addSpecial: true);
        }

        return new Request(RequestId.New(), prompt.Prompt ?? string.Empty, prompt.MaxTokens, stop, prompt.Priority)
        {
            PromptTokenIds = ids is null ? default(ReadOnlyMemory<int>?) : ids,
            Options = prompt.Options,
            Deadline = prompt.Deadline,
        };
    }
}
