using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cli.Tests;

public sealed class JobRunnerTests : IDisposable
{
    private readonly ModelSession _session = ModelSession.Start(new ModelSettings(EmbeddedModel.Path, null, 1), new SessionLimits(4, null));
    private int _read, _ended;

    [Test]
    public async Task Results_are_written_in_order_whoever_ends_first()
    {
        var written = new List<long>();
        await Run(Prompts(40, i => i % 7 == 0 ? 60 : 1), 16, outcome => written.Add(outcome.Line.Index));
        Assert.That(written, Is.EqualTo(Enumerable.Range(0, 40)));
        Assert.That(_ended, Is.EqualTo(40));
    }

    [Test]
    public async Task No_more_prompts_are_read_ahead_than_the_window_holds()
    {
        int ahead = 0, written = 0;
        await Run(Prompts(60, _ => 2), 8, _ => ahead = Math.Max(ahead, _read - written++));
        Assert.That(ahead, Is.LessThanOrEqualTo(8));
    }

    [Test]
    public async Task No_more_bytes_are_read_ahead_than_the_window_spans()
    {
        int ahead = 0, written = 0;
        IEnumerable<PromptLine> large = Prompts(40, _ => 2).Select(prompt => prompt with { EndOffset = prompt.Index * 30_000_000 });
        await Run(large, 64, _ => ahead = Math.Max(ahead, _read - written++));
        Assert.That(ahead, Is.LessThanOrEqualTo(4), "Three of 30 MB fit into 64 MiB behind the first, and the fourth is that which no longer does.");
    }

    [Test]
    public void Cancelling_leaves_a_beginning_without_gaps_and_ends_every_request()
    {
        using var stop = new CancellationTokenSource();
        var written = new List<long>();
        Assert.That(
            () => Run(Prompts(100, i => i < 5 ? 2 : 400), 16, outcome =>
            {
                written.Add(outcome.Line.Index);
                if (written.Count == 5)
                {
                    stop.Cancel();
                }
            }, stop.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(written, Is.EqualTo(Enumerable.Range(0, 5)));
        Assert.That(_session.Scheduler.QueuedRequestCount, Is.Zero);
    }

    [Test]
    public void A_result_that_cannot_be_written_ends_the_rest()
    {
        Assert.That(() => Run(Prompts(30, _ => 300), 16, _ => throw new IOException("full")), Throws.TypeOf<IOException>());
        Assert.That(_session.Scheduler.QueuedRequestCount, Is.Zero);
    }

    [Test]
    public async Task A_prompt_that_fails_is_a_result_like_others()
    {
        var outcomes = new List<JobOutcome>();
        PromptLine[] prompts = [Prompt(0, 2), Prompt(1, 2) with { Prompt = null, PromptIds = [5000] }, Prompt(2, 2) with { Prompt = null, PromptIds = new int[600] }, Prompt(3, 2) with { Deadline = DateTimeOffset.UnixEpoch }];
        await Run(prompts, 16, outcomes.Add);
        Assert.That(outcomes.Select(outcome => outcome.ErrorType), Is.EqualTo(new[] { null, "InvalidRequest", "PromptTooLong", "DeadlineUnreachable" }));
    }

    public void Dispose() => _session.Dispose();

    private static PromptLine Prompt(long index, int maxTokens) =>
        new(index, "", 0) { Prompt = $"Number {index}", MaxTokens = maxTokens, Options = GenerationOptions.Default with { Temperature = 0, IgnoreEos = true } };

    private IEnumerable<PromptLine> Prompts(int count, Func<int, int> maxTokens)
    {
        for (int i = 0; i < count; i++)
        {
            _read++;
            yield return Prompt(i, maxTokens(i));
        }
    }

    private Task Run(IEnumerable<PromptLine> prompts, int readAhead, Action<JobOutcome> write, CancellationToken cancellationToken = default) =>
        new JobRunner(_session, null, readAhead, _ => _ended++).RunAsync(prompts, write, cancellationToken);
}
