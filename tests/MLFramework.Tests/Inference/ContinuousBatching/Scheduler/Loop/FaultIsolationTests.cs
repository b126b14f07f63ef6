using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Loop;

/// <summary>A request that fails its batch fails alone, with its own error; the others lose nothing but time.</summary>
public class FaultIsolationTests
{
    private const string Poison = "poison";

    [Test]
    public void A_fault_that_passes_costs_nobody_anything([Values(1, 2)] int failures)
    {
        using var rig = new SchedulerRig();
        int left = failures;
        rig.Model.BeforeStep = _ =>
        {
            if (left-- > 0)
            {
                throw new InvalidOperationException("Passing trouble.");
            }
        };
        List<Request> requests = EnqueueMany(rig, 5, poisoned: []);
        rig.RunDry();
        Assert.That(requests.Select(r => r.Result!.Reason), Is.All.EqualTo(CompletionReason.MaxTokensReached));
        Assert.That(rig.Collector.GetErrorStatistics().TotalErrors, Is.EqualTo(failures));
        rig.AssertIdle();
    }

    [Test]
    public void The_poisoned_fail_alone_and_the_others_answer_as_if_they_had_not_been_there(
        [Values(2, 3, 8)] int count, [Values(1, 2)] int poisonedCount, [Range(0, 2)] int seed)
    {
        List<string> expected = TextsOf(count, poisoned: []);
        var random = new Random(seed);
        int[] poisoned = [.. Enumerable.Range(0, count).OrderBy(_ => random.Next()).Take(poisonedCount)];
        using var rig = new SchedulerRig();
        rig.Model.BeforeStep = ThrowOnPoison;
        List<Request> requests = EnqueueMany(rig, count, poisoned);
        rig.RunDry();
        for (int i = 0; i < count; i++)
        {
            if (poisoned.Contains(i))
            {
                Assert.That(requests[i].Result!.Reason, Is.EqualTo(CompletionReason.Failed));
                Assert.That(requests[i].Fault(), Is.TypeOf<InvalidDataException>().With.Message.EqualTo(Poison));
                Assert.That(requests[i].Result!.Error, Is.EqualTo(Poison));
            }
            else
            {
                Assert.That(requests[i].Result!.GeneratedText, Is.EqualTo(expected[i]), $"Request {i} of {count}");
            }
        }

        rig.AssertIdle();
    }

    [TestCase(0)]
    [TestCase(2)]
    [TestCase(5)]
    public void A_request_alone_is_tried_once_and_then_as_often_as_configured(int maxRetries)
    {
        var executor = new DelegateExecutor(_ => throw new InvalidDataException(Poison));
        using var rig = new SchedulerRig(executor: executor, configuration: SchedulerConfiguration.Default with { MaxRetries = maxRetries });
        Request request = rig.Enqueue();
        rig.RunDry();
        Assert.That(executor.Calls, Is.EqualTo(1 + maxRetries));
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
    }

    [Test]
    public void Of_two_the_whole_is_retried_then_each_alone()
    {
        var sizes = new List<int>();
        var executor = new DelegateExecutor(batch =>
        {
            sizes.Add(batch.Size);
            throw new InvalidDataException(Poison);
        });
        using var rig = new SchedulerRig(executor: executor, configuration: SchedulerConfiguration.Default with { MaxRetries = 1 });
        EnqueueMany(rig, 2, []);
        rig.RunDry();
        Assert.That(sizes, Is.EqualTo(new[] { 2, 2, 1, 1, 1, 1 }));
    }

    [Test]
    public void An_executor_that_always_fails_fails_everybody_with_its_error()
    {
        using var rig = new SchedulerRig(executor: new DelegateExecutor(_ => throw new InvalidDataException(Poison)));
        List<Request> requests = EnqueueMany(rig, 20, []);
        rig.RunDry();
        Assert.That(requests.Select(r => r.Fault()), Is.All.TypeOf<InvalidDataException>());
        Assert.That(rig.Collector.GetErrorStatistics().ErrorsByType.Keys, Is.EqualTo(new[] { nameof(InvalidDataException) }));
        rig.AssertIdle();
    }

    [Test]
    public void Nobody_is_admitted_while_a_culprit_is_searched_and_everybody_is_after()
    {
        using var rig = new SchedulerRig();
        rig.Model.BeforeStep = ThrowOnPoison;
        Request poisoned = rig.Enqueue(Poison);
        rig.Enqueue("good one");
        rig.Iterate();
        Request late = rig.Enqueue("late");
        while (!poisoned.IsCompleted)
        {
            Assert.That(late.Sequence!.State, Is.EqualTo(SequenceState.Waiting));
            rig.Iterate();
        }

        rig.RunDry();
        Assert.That(late.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_decode_that_fails_repeats_no_token()
    {
        string expected = TextsOf(1, [])[0];
        using var rig = new SchedulerRig();
        int step = 0;
        rig.Model.BeforeStep = _ =>
        {
            if (++step % 2 == 0)
            {
                throw new InvalidOperationException("Every other step fails.");
            }
        };
        Request request = EnqueueMany(rig, 1, [])[0];
        rig.RunDry();
        Assert.That(request.Result!.GeneratedText, Is.EqualTo(expected));
    }

    [Test]
    public void Suspects_that_are_cancelled_meanwhile_do_not_keep_waiting_work_from_running()
    {
        using var rig = new SchedulerRig(
            configuration: SchedulerConfiguration.Default with { MaxIdleIterations = 0, MaxRetries = 0 },
            constraints: new BatchConstraints(MaxBatchSize: 4, MinBatchSize: 1, MaxSequenceLength: 1024));
        rig.Model.BeforeStep = ThrowOnPoison;
        Request[] suspects = [.. Enumerable.Range(0, 4).Select(_ => rig.Enqueue(Poison))];
        Request waiting = rig.Enqueue("good one");
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            // Four failed, then two of them; the first runs alone, and three groups are still to be tried.
            await Task.Delay(TimeSpan.FromMilliseconds(25), rig.Clock);
            foreach (Request suspect in suspects)
            {
                Assert.That(rig.Client.CancelRequest(suspect.Id));
            }

            await waiting.CompletionSource.Task;
            await rig.Scheduler.StopAsync();
        });
        rig.AssertIdle();
    }

    [Test]
    public void A_copy_on_write_that_failed_is_made_again()
    {
        using var rig = new SchedulerRig();
        int step = 0;
        rig.Model.BeforeStep = batch =>
        {
            if (batch.BlockCopies.Count > 0 && step++ < 2)
            {
                throw new InvalidOperationException("Before the copies were made.");
            }
        };
        string prompt = new('p', 32);
        Request first = rig.Enqueue(prompt, 8);
        rig.Iterate();
        Request second = rig.Enqueue(prompt, 8);
        rig.RunDry();
        Assert.That(second.Result!.CachedPromptTokens, Is.EqualTo(31));
        Assert.That(second.Result.GeneratedText, Is.EqualTo(first.Result!.GeneratedText));
        Assert.That(step, Is.EqualTo(3), "The first holds the shared block, so the second needs a copy: asked for until it was made.");
    }

    private static void ThrowOnPoison(Batch batch)
    {
        if (batch.Requests.Exists(r => r.Prompt.StartsWith(Poison, StringComparison.Ordinal)))
        {
            throw new InvalidDataException(Poison);
        }
    }

    private static List<Request> EnqueueMany(SchedulerRig rig, int count, int[] poisoned) =>
        [.. Enumerable.Range(0, count).Select(i => rig.Enqueue(poisoned.Contains(i) ? $"{Poison} {i}" : $"prompt {i}", 4))];

    private static List<string> TextsOf(int count, int[] poisoned)
    {
        using var rig = new SchedulerRig();
        List<Request> requests = EnqueueMany(rig, count, poisoned);
        rig.RunDry();
        return [.. requests.Select(r => r.Result!.GeneratedText)];
    }
}
