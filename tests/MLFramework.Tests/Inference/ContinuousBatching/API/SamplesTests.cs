using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.API;

/// <summary>Several responses to one prompt, which is computed once.</summary>
public class SamplesTests
{
    private static readonly GenerationOptions s_seeded = GenerationOptions.Default with { Seed = 1 };

    [TestCase(40, 1)]
    [TestCase(40, 5)]
    [TestCase(32, 3)]
    [TestCase(1, 4)]
    public async Task The_prompt_is_computed_once_for_all(int promptLength, int count)
    {
        const int Tokens = 3;
        using var rig = new SchedulerRig();
        Task<List<GenerationResult>> samples = rig.Client.GenerateSamplesAsync(new string('p', promptLength), count, Tokens, s_seeded);
        rig.RunDry();
        Assert.That((await samples).Select(s => s.TokensGenerated), Is.EqualTo(Enumerable.Repeat(Tokens, count)));

        // Each further sample computes the last prompt position again, for its own first token.
        int expected = promptLength + (Tokens - 1) + ((count - 1) * (1 + Tokens - 1));
        Assert.That(rig.Model.TokensComputed, Is.EqualTo(expected));
        rig.AssertIdle();
    }

    [Test]
    public async Task Samples_differ_by_their_index_and_the_first_is_what_a_single_response_would_be()
    {
        using var rig = new SchedulerRig();
        Request single = rig.Enqueue("prompt", 12);
        rig.RunDry();
        Task<List<GenerationResult>> running = rig.Client.GenerateSamplesAsync("prompt", 4, 12);
        rig.RunDry();
        List<GenerationResult> samples = await running;
        Assert.That(samples.Select(s => s.GeneratedText), Is.Unique);
        Assert.That(samples[0].GeneratedText, Is.EqualTo(single.Result!.GeneratedText));
    }

    [Test]
    public async Task Samples_do_not_depend_on_being_shared_preempted_or_chunked()
    {
        List<string> expected = await TextsOf(new SchedulerRig());
        Assert.That(await TextsOf(new SchedulerRig(prefill: PrefillConfiguration.Default with { PrefillChunkSize = 5, MaxPrefillBatchSize = 1 })), Is.EqualTo(expected));
        Assert.That(await TextsOf(new SchedulerRig(prefill: PrefillConfiguration.Default with { EnablePrefillCaching = false })), Is.EqualTo(expected));
        Assert.That(await TextsOf(new SchedulerRig(cache: new KVCacheConfiguration(7))), Is.EqualTo(expected));
        Assert.That(await TextsOf(new SchedulerRig(cacheManager: new BoundlessCache())), Is.EqualTo(expected));

        static async Task<List<string>> TextsOf(SchedulerRig rig)
        {
            using (rig)
            {
                Task<List<GenerationResult>> running = rig.Client.GenerateSamplesAsync(new string('p', 37), 4, 30);
                rig.RunDry();
                rig.AssertIdle();
                return [.. (await running).Select(s => s.GeneratedText)];
            }
        }
    }

    [Test]
    public async Task Samples_that_step_aside_for_their_prompt_do_not_start_before_what_ranks_higher()
    {
        using var rig = new SchedulerRig(
            constraints: new BatchConstraints(MaxBatchSize: 2, MinBatchSize: 1, MaxSequenceLength: 1024),
            prefill: PrefillConfiguration.Default with { PrefillChunkSize = 16 });
        Task<List<GenerationResult>> samples = rig.Client.GenerateSamplesAsync(new string('p', 60), 2, 3, priority: Priority.Low);
        rig.Iterate();
        Request first = rig.Enqueue("takes the second slot", 20);
        rig.Iterate();
        Request urgent = rig.Enqueue("urgent", 1, Priority.Urgent);
        while (!urgent.IsCompleted)
        {
            rig.Iterate();
            Assert.That(rig.Batches.Running.Select(s => s.Request.SampleIndex), Is.All.Zero, "The second sample went first.");
        }

        rig.RunDry();
        Assert.That((await samples).Select(s => s.TokensGenerated), Is.All.EqualTo(3));
        Assert.That(first.IsCompleted);
    }

    [Test]
    public async Task An_iteration_given_up_while_samples_share_a_block_hurts_nobody()
    {
        using var rig = new SchedulerRig(prefill: PrefillConfiguration.Default with { MaxPrefillBatchSize = 2 });
        Task<List<GenerationResult>> samples = rig.Client.GenerateSamplesAsync(new string('p', 20), 4, 5);
        rig.Iterate();
        using var source = new CancellationTokenSource();
        rig.Context.Run(async () =>
        {
            Task iteration = rig.Scheduler.ExecuteIterationAsync(source.Token);
            source.Cancel();
            await iteration.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        });
        Request shared = rig.Batches.Running[1].Request;
        Assert.That(rig.Client.CancelRequest(shared.Id));
        rig.RunDry();
        Assert.That((await samples).Count(s => s.TokensGenerated == 5), Is.EqualTo(3));
        rig.AssertIdle();
    }

    [Test]
    public async Task The_prompt_is_shared_even_if_the_samples_had_to_wait_for_their_turn_to_enqueue()
    {
        var tokenizer = new GatedTokenizer();
        using var rig = new SchedulerRig(tokenizer: tokenizer, client: SchedulerApiClientConfiguration.Default with { MaxConcurrentEnqueue = 1 });
        Task<string> other = Task.Run(() => rig.Client.GenerateTextAsync("other", 1));
        tokenizer.AwaitInside(1);
        Task<List<GenerationResult>> samples = rig.Client.GenerateSamplesAsync(new string('p', 40), 3, maxTokens: 2);
        tokenizer.Open();
        while (rig.Queue.Count < 4)
        {
            await Task.Yield();
        }

        rig.RunDry();
        await other;
        Assert.That(await samples, Has.Count.EqualTo(3));
        Assert.That(rig.Model.TokensComputed, Is.EqualTo("other".Length + (40 + 1) + (1 + 1) + (1 + 1)));
    }

    [Test]
    public async Task Cancelling_cancels_all_samples()
    {
        using var rig = new SchedulerRig();
        using var source = new CancellationTokenSource();
        Task<List<GenerationResult>> samples = rig.Client.GenerateSamplesAsync("prompt", 3, 500, cancellationToken: source.Token);
        rig.Iterate();
        await source.CancelAsync();
        Assert.That((await samples).Select(s => s.Reason), Is.All.EqualTo(CompletionReason.Cancelled));
        rig.AssertIdle();
    }

    [Test]
    public async Task A_refused_first_sample_is_a_refusal_of_all()
    {
        using var rig = new SchedulerRig();
        await rig.Scheduler.StopAsync();
        List<GenerationResult> samples = await rig.Client.GenerateSamplesAsync("prompt", 3, 5);
        Assert.That(samples.Select(s => s.Reason), Is.EqualTo(Enumerable.Repeat(CompletionReason.Failed, 3)));
        Assert.That(samples.Select(s => s.Error), Is.All.Contains("stopped"));
    }

    [Test]
    public async Task Fewer_than_one_sample_is_refused()
    {
        using var rig = new SchedulerRig();
        await Assert.ThatAsync(() => rig.Client.GenerateSamplesAsync("prompt", 0), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void A_first_sample_must_be_enqueued_first()
    {
        using var rig = new SchedulerRig();
        var sample = new Request(RequestId.New(), "prompt", 4, CancellationToken.None) { FirstSample = rig.NewRequest() };
        Assert.That(() => rig.Enqueue(sample), Throws.ArgumentException.With.Message.Contains("first sample must be enqueued"));
    }

    private sealed class BoundlessCache : IKVCacheManager
    {
        public long AllocateCache(RequestId requestId, int maxTokens) => maxTokens;

        public void ReleaseCache(RequestId requestId)
        {
        }

        public long GetCurrentUsageBytes() => 0;
    }

    [Test]
    public void A_first_sample_of_another_scheduler_is_refused()
    {
        using var rig = new SchedulerRig();
        using var other = new SchedulerRig();
        Request first = other.Enqueue("shared", maxTokens: 4);
        other.Iterate();
        var sample = new Request(RequestId.New(), "shared", 4, default, timeProvider: rig.Clock) { FirstSample = first };
        Assert.That(() => rig.Scheduler.EnqueueAsync(sample), Throws.ArgumentException.With.Message.Contains("another scheduler"));
        other.RunDry();
    }
}
