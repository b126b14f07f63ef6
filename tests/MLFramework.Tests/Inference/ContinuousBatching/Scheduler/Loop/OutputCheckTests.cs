using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Loop;

/// <summary>Executors that lie: every lie is found, named, and hurts no one else where it concerns one request.</summary>
public class OutputCheckTests
{
    private const string Victim = "victim";

    [Test]
    public void Null_output_is_no_output() => AssertWholeBatchDefect(_ => null!, "no output");

    [Test]
    public void Null_tokens_are_no_output() => AssertWholeBatchDefect(b => DelegateExecutor.Answer(b) with { GeneratedTokens = null! }, "no output");

    [Test]
    public void Null_flags_are_no_output() => AssertWholeBatchDefect(b => DelegateExecutor.Answer(b) with { IsEosReached = null! }, "no output");

    [TestCase(1)]
    [TestCase(-1)]
    public void Flags_for_another_number_of_requests_are_a_defect(int difference) =>
        AssertWholeBatchDefect(b => DelegateExecutor.Answer(b) with { IsEosReached = new bool[b.Size + difference] }, "end flags");

    [Test]
    public void A_token_that_is_missing_is_a_defect() => AssertWholeBatchDefect(b => DelegateExecutor.Answer(b) with { GeneratedTokens = [] }, "no token");

    [TestCase(-1)]
    [TestCase(WordTokenizer.VocabularySize)]
    [TestCase(int.MaxValue)]
    public void A_token_outside_the_vocabulary_is_a_defect(int token) =>
        AssertWholeBatchDefect(b => DelegateExecutor.Answer(b, token), $"token {token}");

    [Test]
    public void An_executor_that_returns_no_task_is_found()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor((_, _) => null!));
        Request request = rig.Enqueue();
        rig.RunDry();
        Assert.That(request.Fault(), Is.TypeOf<ModelOutputException>().With.Message.Contains("no task"));
    }

    [Test]
    public void An_executor_that_throws_at_once_is_as_one_whose_task_fails()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor((Func<Batch, CancellationToken, Task<BatchOutput>>)((_, _) => throw new NotSupportedException("never"))));
        Request request = rig.Enqueue();
        rig.RunDry();
        Assert.That(request.Fault(), Is.TypeOf<NotSupportedException>());
    }

    [Test]
    public void An_executor_that_cancels_by_itself_has_failed()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor((_, _) => Task.FromCanceled<BatchOutput>(new CancellationToken(true))));
        Request request = rig.Enqueue();
        rig.RunDry();
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
    }

    [Test]
    public void A_token_for_a_request_still_in_its_prompt_is_ignored()
    {
        using var rig = new SchedulerRig(
            prefill: PrefillConfiguration.Default with { PrefillChunkSize = 4 },
            executor: new DelegateExecutor(b => new BatchOutput(b.Requests.ToDictionary(r => r.Id, _ => (int)'z'), [], new bool[b.Size])));
        Request request = rig.Enqueue("0123456789", 1);
        rig.Iterate();
        rig.Iterate();
        Assert.That(request.GeneratedTokens, Is.Zero);
        rig.Iterate();
        Assert.That(request.Result!.GeneratedText, Is.EqualTo("z"));
    }

    [Test]
    public void A_request_that_the_executor_fails_by_name_fails_alone_and_at_once()
    {
        (Request victim, Request other, int calls) = Run(b => DelegateExecutor.Answer(b) with
        {
            Failures = IdsOf(b).ToDictionary(id => id, _ => (Exception)new InvalidDataException("Its own error.")),
        });
        Assert.That(victim.Fault(), Is.TypeOf<InvalidDataException>());
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        Assert.That(calls, Is.EqualTo(4), "Nothing was retried.");
    }

    [Test]
    public void A_failure_without_an_error_is_a_failure_still()
    {
        (Request victim, Request other, _) = Run(b => DelegateExecutor.Answer(b) with { Failures = IdsOf(b).ToDictionary(id => id, _ => (Exception)null!) });
        Assert.That(victim.Fault(), Is.TypeOf<ModelOutputException>().With.Message.Contains("without an error"));
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_failure_may_concern_a_request_still_in_its_prompt()
    {
        using var rig = new SchedulerRig(
            prefill: PrefillConfiguration.Default with { PrefillChunkSize = 16 },
            executor: new DelegateExecutor(b => DelegateExecutor.Answer(b) with { Failures = b.Requests.ToDictionary(r => r.Id, _ => (Exception)new InvalidDataException()) }));
        Request request = rig.Enqueue(new string('x', 40));
        rig.RunDry();
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
        Assert.That(rig.Paged.CachedBlocks, Is.Zero, "What it computed must not be found by others.");
        rig.AssertIdle();
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(float.NegativeInfinity)]
    public void A_logit_that_is_no_number_fails_the_request_alone(float bad)
    {
        (Request victim, Request other, _) = Run(b =>
        {
            float[] logits = new float[WordTokenizer.VocabularySize];
            logits['a'] = bad;
            return DelegateExecutor.Answer(b) with { Logits = IdsOf(b).ToDictionary(id => id, _ => logits) };
        });
        Assert.That(victim.Fault(), Is.TypeOf<ModelOutputException>().With.Message.Contains("not a finite number"));
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void Log_probabilities_are_those_of_the_executor_or_come_from_its_logits([Values] bool fromLogits)
    {
        var given = new TokenLogProbs(new TokenLogProb('a', -0.5f), []);
        (Request victim, _, _) = Run(
            b =>
            {
                BatchOutput answer = DelegateExecutor.Answer(b);
                return fromLogits
                    ? answer with { Logits = IdsOf(b).ToDictionary(id => id, _ => new float[WordTokenizer.VocabularySize]) }
                    : answer with { LogProbs = IdsOf(b).ToDictionary(id => id, _ => given) };
            },
            GenerationOptions.Default with { TopLogProbs = 2 });
        float expected = fromLogits ? -MathF.Log(WordTokenizer.VocabularySize) : -0.5f;
        Assert.That(victim.Result!.LogProbs!.Select(p => p.Chosen.LogProb), Is.EqualTo(Enumerable.Repeat(expected, 4)).Within(1e-4f));
        Assert.That(victim.Result!.LogProbs![0].Top, Has.Count.EqualTo(fromLogits ? 2 : 0));
    }

    [Test]
    public void Log_probabilities_that_were_asked_for_and_cannot_be_told_fail_the_request_alone([Values("none", "null", "short")] string lie)
    {
        (Request victim, Request other, _) = Run(
            b => DelegateExecutor.Answer(b) with
            {
                Logits = lie == "short" ? IdsOf(b).ToDictionary(id => id, _ => new float[3]) : [],
                LogProbs = lie == "null" ? IdsOf(b).ToDictionary(id => id, _ => (TokenLogProbs)null!) : null,
            },
            GenerationOptions.Default with { TopLogProbs = 0 });
        Assert.That(victim.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_tokenizer_without_a_known_vocabulary_lets_any_token_pass()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor(b => DelegateExecutor.Answer(b, 5_000_000)), tokenizer: new EndlessTokenizer());
        Request request = rig.Enqueue(maxTokens: 1);
        rig.RunDry();
        Assert.That(request.Result!.GeneratedText, Is.EqualTo("?"));
    }

    private static List<RequestId> IdsOf(Batch batch) => [.. batch.Requests.Where(r => r.Prompt == Victim).Select(r => r.Id)];

    /// <summary>Serves a victim and another beside it with an executor that lies about the victim.</summary>
    private static (Request Victim, Request Other, int Calls) Run(Func<Batch, BatchOutput> run, GenerationOptions? options = null)
    {
        var executor = new DelegateExecutor(run);
        using var rig = new SchedulerRig(executor: executor);
        Request victim = rig.Enqueue(rig.NewRequest(Victim, options: options));
        Request other = rig.Enqueue("other");
        rig.RunDry();
        rig.AssertIdle();
        return (victim, other, executor.Calls);
    }

    private static void AssertWholeBatchDefect(Func<Batch, BatchOutput> lie, string message)
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor(b => b.Requests.Exists(r => r.Prompt == Victim) ? lie(b) : DelegateExecutor.Answer(b)));
        Request victim = rig.Enqueue(Victim);
        Request other = rig.Enqueue("other");
        rig.RunDry();
        Assert.That(victim.Fault(), Is.TypeOf<ModelOutputException>().With.Message.Contains(message));
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        Assert.That(rig.Collector.GetErrorStatistics().ErrorsByType.Keys, Is.EqualTo(new[] { nameof(ModelOutputException) }));
        rig.AssertIdle();
    }

    private sealed class EndlessTokenizer : ITokenizer
    {
        public int[] Encode(string text) => [.. text.Select(c => (int)c)];

        public string Decode(int[] tokenIds) => new('?', tokenIds.Length);

        public int GetVocabSize() => 0;
    }
}
