using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Queue;

/// <summary>Tenants share by weighted tokens served, whatever the number and size of their requests.</summary>
public class TenantFairnessTests
{
    private static readonly BatchConstraints s_oneAtATime = new(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 4096);

    [Test]
    public void Many_requests_of_one_tenant_do_not_delay_the_few_of_another()
    {
        using var rig = new SchedulerRig(constraints: s_oneAtATime);
        for (int i = 0; i < 20; i++)
        {
            rig.Enqueue($"flood {i}", 4, tenant: "loud");
        }

        Request quiet = rig.Enqueue("one", 4, tenant: "quiet");
        rig.RunDry();
        Assert.That(quiet.Result!.QueueTime, Is.LessThanOrEqualTo(TimeSpan.FromMilliseconds(40)), "One request of the other, not twenty.");
    }

    [Test]
    public void The_difference_of_two_backlogged_tenants_stays_within_the_bound_of_the_paper()
    {
        const int LongPrompt = 300;
        const int ShortPrompt = 30;
        const int Tokens = 5;
        using var rig = new SchedulerRig(constraints: s_oneAtATime);
        for (int i = 0; i < 100; i++)
        {
            rig.Enqueue(Prompt(LongPrompt, i), Tokens, tenant: "long");
            for (int j = 0; j < 10; j++)
            {
                rig.Enqueue(Prompt(ShortPrompt, (i * 10) + j), Tokens, tenant: "short");
            }
        }

        double bound = 2 * (LongPrompt + (2 * Tokens));
        double most = 0;
        while (Backlogged("long") && Backlogged("short"))
        {
            rig.Iterate();
            most = Math.Max(most, Math.Abs(Served("long") - Served("short")));
        }

        Assert.That(most, Is.LessThanOrEqualTo(bound));
        Assert.That(Served("long"), Is.GreaterThan(5 * bound), "Long enough to tell.");

        double Served(string tenant) => rig.Queue.Accounts().Find(a => a.Name == tenant)?.Served ?? 0;
        bool Backlogged(string tenant) => rig.Queue.Accounts().Find(a => a.Name == tenant)!.WaitingCount > 0;
        static string Prompt(int length, int number) => $"{number} ".PadRight(length, 'x');
    }

    [Test]
    public void A_larger_share_is_a_larger_part()
    {
        using var rig = new SchedulerRig(
            constraints: s_oneAtATime,
            policy: QueuePolicy.Default with { TenantShares = new Dictionary<string, double> { ["paying"] = 3 } });
        for (int i = 0; i < 40; i++)
        {
            rig.Enqueue($"paying {i:00}", 4, tenant: "paying");
            rig.Enqueue($"trying {i:00}", 4, tenant: "trying");
        }

        for (int i = 0; i < 4 * 40; i++)
        {
            rig.Iterate();
        }

        Assert.That(Finished("paying"), Is.EqualTo(30).Within(2));
        Assert.That(Finished("trying"), Is.EqualTo(10).Within(2));

        int Finished(string tenant) => 40 - rig.Queue.Snapshot().Count(s => s.Request.TenantName == tenant);
    }

    [TestCase(1.0, 2.0, 18.0)]
    [TestCase(3.0, 0.5, 21.0)]
    public void Prompt_and_generated_tokens_are_charged_at_their_weights(double promptWeight, double generatedWeight, double expected)
    {
        using var rig = new SchedulerRig(policy: QueuePolicy.Default with { PromptTokenWeight = promptWeight, GeneratedTokenWeight = generatedWeight });
        rig.Enqueue("6chars", 6, tenant: "tenant");
        rig.RunDry();
        Assert.That(rig.Queue.Accounts().Single().Served, Is.EqualTo(expected));
    }

    [Test]
    public void Cached_prompt_tokens_and_recomputation_are_free()
    {
        using var rig = new SchedulerRig();
        string prompt = new('p', 33);
        rig.Enqueue(prompt, 1, tenant: "tenant");
        rig.RunDry();
        rig.Enqueue(prompt, 1, tenant: "tenant");
        rig.RunDry();
        Assert.That(rig.Queue.Accounts().Single().Served, Is.EqualTo(33 + 2 + 1 + 2));
    }

    [Test]
    public void Time_in_which_a_tenant_asked_for_nothing_is_not_saved_up()
    {
        using var rig = new SchedulerRig(constraints: s_oneAtATime);
        rig.Enqueue("early", 1, tenant: "absent");
        for (int i = 0; i < 60; i++)
        {
            rig.Enqueue($"present {i}", 4, tenant: "present");
        }

        for (int i = 0; i < 100; i++)
        {
            rig.Iterate();
        }

        List<Request> back = [.. Enumerable.Range(0, 20).Select(i => rig.Enqueue($"absent {i:00}", 4, tenant: "absent"))];
        for (int i = 0; i < 40; i++)
        {
            rig.Iterate();
        }

        Assert.That(back.Count(r => r.IsCompleted), Is.EqualTo(5).Within(1), "Half of the ten served, not all of them.");
    }

    [Test]
    public void An_account_of_nobody_alive_is_closed_when_there_are_many()
    {
        using var rig = new SchedulerRig(constraints: new BatchConstraints(MaxBatchSize: 256, MinBatchSize: 1, MaxSequenceLength: 64), cache: new KVCacheConfiguration(4096));
        for (int i = 0; i < 10_000; i++)
        {
            rig.Queue.TryAdd(RequestQueue.SequenceOf(rig.NewRequest("p", 1, tenant: $"tenant {i}")), Priority.Normal, null);
            rig.Queue.TryDequeue(TimeSpan.Zero);
        }

        Assert.That(rig.Queue.Accounts(), Has.Count.LessThanOrEqualTo(4097));
    }

    [Test]
    public void Priority_goes_before_fairness()
    {
        using var rig = new SchedulerRig(constraints: s_oneAtATime);
        rig.Enqueue("served already", 50, tenant: "greedy");
        rig.RunDry();
        Request normal = rig.Enqueue("normal", 1, tenant: "modest");
        Request high = rig.Enqueue("high", 1, Priority.High, tenant: "greedy");
        rig.RunDry();
        Assert.That(high.Result!.QueueTime, Is.LessThan(normal.Result!.QueueTime));
    }
}
