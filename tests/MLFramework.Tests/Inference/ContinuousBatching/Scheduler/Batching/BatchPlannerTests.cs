using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Batching;

/// <summary>Plans over paged KV blocks: budgets, chunks, preemption, sharing. Each limit is seen to act.</summary>
public class BatchPlannerTests
{
    private static readonly BatchConstraints s_constraints = new(MaxBatchSize: 8, MinBatchSize: 1, MaxSequenceLength: 1024);
    private static readonly SchedulerConfiguration s_fixed = SchedulerConfiguration.Default with { EnableAdaptiveBatching = false };

    // ---- Prefill ----

    [Test]
    public void A_prompt_is_computed_in_chunks_of_the_configured_size()
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillChunkSize = 30 });
        rig.Enqueue(new string('x', 100), 2);
        Assert.That(TokensPerStep(rig), Is.EqualTo(new[] { 30, 30, 30, 10, 1 }));
    }

    [Test]
    public void No_more_prompts_than_configured_are_computed_at_once()
    {
        using var rig = new SchedulerRig(configuration: s_fixed, prefill: PrefillConfiguration.Default with { MaxPrefillBatchSize = 2 });
        for (int i = 0; i < 5; i++)
        {
            rig.Enqueue(new string((char)('a' + i), 10), 3);
        }

        Assert.That(TokensPerStep(rig), Is.EqualTo(new[] { 20, 2 + 20, 4 + 10, 2 + 1, 1 }));
    }

    [Test]
    public void Prompts_write_no_more_memory_per_iteration_than_configured()
    {
        using var rig = new SchedulerRig(
            cache: new KVCacheConfiguration(64, BytesPerToken: 10), prefill: PrefillConfiguration.Default with { MaxPrefillMemoryBytes = 125 });
        rig.Enqueue(new string('x', 30), 1);
        Assert.That(TokensPerStep(rig), Is.EqualTo(new[] { 12, 12, 6 }));
    }

    [Test]
    public void A_prefill_memory_of_less_than_one_token_lets_one_through()
    {
        using var rig = new SchedulerRig(
            cache: new KVCacheConfiguration(64, BytesPerToken: 10), prefill: PrefillConfiguration.Default with { MaxPrefillMemoryBytes = 1 });
        rig.Enqueue("abc", 1);
        Assert.That(TokensPerStep(rig), Is.EqualTo(new[] { 1, 1, 1 }));
    }

    [Test]
    public void An_iteration_computes_no_more_tokens_than_its_budget_and_decodes_come_first()
    {
        using var rig = new SchedulerRig(constraints: s_constraints with { MaxTokensPerIteration = 8 }, configuration: s_fixed);
        rig.Enqueue("stream", 20);
        rig.Iterate();
        rig.Enqueue(new string('x', 20), 1);
        List<int> tokens = TokensPerStep(rig);
        Assert.That(tokens.Take(3), Is.EqualTo(new[] { 8, 8, 1 + 6 }));
    }

    [Test]
    public void Prompts_reuse_what_was_computed_if_and_only_if_that_is_switched_on([Values] bool enabled)
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { EnablePrefillCaching = enabled });
        Assert.That(CachedBySecond(rig), Is.EqualTo(enabled ? 32 : 0));
    }

    [TestCase(0, 0)]
    [TestCase(1, 32)]
    public void No_more_prefixes_are_kept_than_configured(int entries, int cached)
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillCacheMaxEntries = entries });
        Assert.That(CachedBySecond(rig), Is.EqualTo(cached));
    }

    [TestCase(9, 32)]
    [TestCase(11, 0)]
    public void Prefixes_are_kept_for_the_configured_time(int secondsLater, int cached)
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillCacheTtlSeconds = 10 });
        Assert.That(CachedBySecond(rig, TimeSpan.FromSeconds(secondsLater)), Is.EqualTo(cached));
    }

    [Test]
    public void Tenants_share_no_prefix_unless_their_salt_says_so()
    {
        using var rig = new SchedulerRig();
        string prompt = new('p', 40);
        Serve(GenerationOptions.Default with { Tenant = "one" });
        Assert.That(Serve(GenerationOptions.Default with { Tenant = "two" }), Is.Zero);
        Serve(GenerationOptions.Default with { Tenant = "one", CacheSalt = "common" });
        Assert.That(Serve(GenerationOptions.Default with { Tenant = "two", CacheSalt = "common" }), Is.EqualTo(32));

        int Serve(GenerationOptions options)
        {
            Request request = rig.Enqueue(rig.NewRequest(prompt, 1, options: options));
            rig.RunDry();
            return request.Result!.CachedPromptTokens;
        }
    }

    // ---- Slots and memory ----

    [TestCase(1)]
    [TestCase(3)]
    public void No_more_requests_run_than_the_batch_size(int size)
    {
        using var rig = new SchedulerRig(constraints: s_constraints with { MaxBatchSize = size });
        for (int i = 0; i < 7; i++)
        {
            rig.Enqueue($"prompt {i}", 5);
        }

        rig.RunDry();
        Assert.That(rig.Model.BatchSizes.Max(), Is.EqualTo(size));
    }

    [Test]
    public void Blocks_beyond_the_memory_limit_are_not_claimed_though_the_pool_has_them()
    {
        using var rig = new SchedulerRig(constraints: s_constraints with { MaxMemoryBytes = 4 * 16 });
        for (int i = 0; i < 6; i++)
        {
            rig.Enqueue($"prompt {i}", 20);
        }

        int most = 0;
        while (rig.Scheduler.Registry.Count > 0)
        {
            rig.Iterate();
            most = Math.Max(most, rig.Paged.ReferencedBlocks);
        }

        Assert.That(most, Is.EqualTo(4));
        rig.AssertIdle();
    }

    [Test]
    public void A_large_request_that_does_not_fit_now_is_not_passed_over()
    {
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(8));
        Request running = rig.Enqueue(new string('r', 60), 4);
        rig.Iterate();
        Request large = rig.Enqueue(new string('l', 100), 1);
        Request small = rig.Enqueue("small", 1);
        rig.Iterate();
        Assert.That(small.Sequence!.State, Is.EqualTo(SequenceState.Waiting));
        rig.RunDry();
        Assert.That(large.Result!.QueueTime, Is.LessThanOrEqualTo(small.Result!.QueueTime));
        Assert.That(running.Result!.Preemptions, Is.Zero);
    }

    [Test]
    public void Capacity_bounds_what_runs_too()
    {
        using var rig = new SchedulerRig(capacity: new CapacityConstraints(MaxBatchSize: 2));
        for (int i = 0; i < 5; i++)
        {
            rig.Enqueue();
        }

        rig.RunDry();
        Assert.That(rig.Model.BatchSizes.Max(), Is.EqualTo(2));
    }

    // ---- Preemption ----

    [Test]
    public void When_blocks_run_out_the_lowest_rank_gives_way_and_loses_only_time()
    {
        string expected = TextAlone("low one", 40);
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(5));
        Request low = rig.Enqueue("low one", 40, Priority.Low);
        rig.Iterate();
        Request high = rig.Enqueue("high one", 40, Priority.High);
        rig.RunDry();
        Assert.That((low.Result!.Preemptions > 0, high.Result!.Preemptions), Is.EqualTo((true, 0)));
        Assert.That(low.Result.GeneratedText, Is.EqualTo(expected));
        Assert.That(high.Result.GeneratedText, Is.EqualTo(TextAlone("high one", 40)));
        rig.AssertIdle();
    }

    [Test]
    public void A_preempted_request_returns_before_newcomers_of_its_class()
    {
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(5));
        Request first = rig.Enqueue("first", 40);
        Request second = rig.Enqueue("second", 40);
        while (second.Sequence!.Preemptions == 0)
        {
            rig.Iterate();
        }

        Request newcomer = rig.Enqueue("newcomer", 40);
        while (!newcomer.IsCompleted)
        {
            rig.Iterate();
            Assert.That(newcomer.Sequence!.State != SequenceState.Running || second.IsCompleted || second.Sequence.State == SequenceState.Running);
        }

        rig.RunDry();
        Assert.That(first.Result!.Preemptions, Is.Zero);
    }

    [Test]
    public void A_resumed_request_does_not_compute_again_what_is_still_cached()
    {
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(6));
        Request low = rig.Enqueue(new string('l', 40), 30, Priority.Low);
        rig.Iterate();
        Request high = rig.Enqueue("0123456789", 40, Priority.High);
        rig.RunDry();
        Assert.That(low.Result!.Preemptions, Is.Positive);
        long leastPossible = 40 + 29 + 10 + 39;
        Assert.That(rig.Model.TokensComputed, Is.LessThan(leastPossible + 40), "The prompt's blocks were found again.");
        Assert.That(high.Result!.Preemptions, Is.Zero);
    }

    [Test]
    public void A_request_that_outgrows_the_whole_cache_fails_alone_with_what_it_has()
    {
        using var rig = new SchedulerRig(cache: new KVCacheConfiguration(2));
        Request outgrows = rig.Enqueue(new string('x', 20), 50);
        rig.RunDry();
        Assert.That((outgrows.Result!.Reason, outgrows.Result.TokensGenerated), Is.EqualTo((CompletionReason.Failed, 13)));
        Assert.That(outgrows.Fault(), Is.TypeOf<SequenceTooLargeException>().With.Message.Contains("33 tokens"));
        Assert.That(outgrows.Result.GeneratedText, Has.Length.EqualTo(13));
        Request next = rig.Enqueue("next", 3);
        rig.RunDry();
        Assert.That(next.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        rig.AssertIdle();
    }

    [Test]
    public void Tight_pools_change_no_text([Values(6, 9, 14)] int blocks, [Values] bool caching, [Range(0, 3)] int seed)
    {
        var random = new Random(seed);
        (string Prompt, int Tokens, Priority Priority)[] work =
            [.. Enumerable.Range(0, 12).Select(i => (new string('p', random.Next(30)) + i, random.Next(1, 40), (Priority)random.Next(4)))];
        using var rig = new SchedulerRig(
            cache: new KVCacheConfiguration(blocks),
            prefill: PrefillConfiguration.Default with { EnablePrefillCaching = caching, PrefillChunkSize = random.Next(3, 40) });
        List<Request> requests = [.. work.Select(w => rig.Enqueue(w.Prompt, w.Tokens, w.Priority))];
        rig.RunDry();
        for (int i = 0; i < work.Length; i++)
        {
            Assert.That(requests[i].Result!.GeneratedText, Is.EqualTo(TextAlone(work[i].Prompt, work[i].Tokens)), $"Request {i}");
        }

        rig.AssertIdle();
    }

    private static List<int> TokensPerStep(SchedulerRig rig)
    {
        var tokens = new List<int>();
        rig.Model.BeforeStep = batch => tokens.Add(batch.TokenCount);
        rig.RunDry();
        return tokens;
    }

    private static int CachedBySecond(SchedulerRig rig, TimeSpan later = default)
    {
        string prompt = new('p', 40);
        rig.Enqueue(prompt, 1);
        rig.RunDry();
        rig.Clock.Advance(later);
        Request second = rig.Enqueue(prompt, 1);
        rig.RunDry();
        return second.Result!.CachedPromptTokens;
    }

    private static string TextAlone(string prompt, int tokens)
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue(prompt, tokens);
        rig.RunDry();
        return request.Result!.GeneratedText;
    }
}
