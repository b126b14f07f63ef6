using MLFramework.Inference.ContinuousBatching;
using NSubstitute;

namespace MLFramework.Cpu.Tests;

public sealed class CpuModelExecutorTests
{
    private static readonly GenerationOptions Greedy = GenerationOptions.Default with { Temperature = 0, IgnoreEos = true };

    /// <summary>What a caller can see of a response, bit for bit.</summary>
    private static string Seen(Request request) => string.Join(' ', request.Result!.LogProbs!.Select(entry =>
        $"{entry.Chosen.TokenId}:{string.Join(',', entry.Top.Prepend(entry.Chosen).Select(top => $"{top.TokenId}/{BitConverter.SingleToUInt32Bits(top.LogProb):x}"))}"));

    [Test]
    public void Samples_of_one_prompt_differ_and_can_be_repeated()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        string Text(int sample)
        {
            using var rig = new CpuRig(model);
            Request request = CpuRig.NewRequest([473, 551, 260, 469], 20, GenerationOptions.Default with { Seed = 5, TopLogProbs = 0, IgnoreEos = true }, sample);
            rig.Enqueue(request);
            rig.RunDry(request);
            return Seen(request);
        }
        string[] texts = [.. new[] { 0, 0, 1 }.Select(Text)];
        Assert.That(texts[1], Is.EqualTo(texts[0]));
        Assert.That(texts[2], Is.Not.EqualTo(texts[0]));
    }

    [Test]
    public void A_sequence_longer_than_the_model_sees_fails_alone()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        using var rig = new CpuRig(model, context: 200);
        Request tooLong = CpuRig.NewRequest([.. Enumerable.Repeat(9, 60)], 100, Greedy), other = CpuRig.NewRequest([5, 6], 20, Greedy);
        rig.Enqueue(tooLong);
        rig.Enqueue(other);

        rig.RunDry(tooLong, other);

        Assert.That((tooLong.Result!.Reason, tooLong.Result.TokensGenerated), Is.EqualTo((CompletionReason.Failed, 5)));
        Assert.That(tooLong.Result.Error, Does.Contain("at most 64 tokens").And.Contain("MaxSequenceLength"));
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_token_that_the_model_does_not_know_fails_its_request_alone()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        ITokenizer larger = Substitute.For<ITokenizer>();
        larger.GetVocabSize().Returns(1000);
        larger.Decode(default!).ReturnsForAnyArgs("");
        using var rig = new CpuRig(model, tokenizer: larger);
        Request unknown = CpuRig.NewRequest([5, 259], 4, Greedy), other = CpuRig.NewRequest([5, 258], 4, Greedy);
        rig.Enqueue(unknown);
        rig.Enqueue(other);

        rig.RunDry(unknown, other);

        Assert.That(unknown.Result!.Error, Does.Contain("Token 259").And.Contain("0 to 258"));
        Assert.That(other.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    public void What_is_not_finite_fails_its_request_alone_even_where_a_chunk_wants_no_logits(float bad)
    {
        byte[] file = TinyModels.Write();
        using (GgufFile original = GgufFile.FromMemory(file))
        {
            GgufTensor embeddings = original.GetTensor("token_embd.weight");
            BitConverter.TryWriteBytes(file.AsSpan((int)embeddings.Offset + 77 * embeddings.RowBytes), bad);
        }
        using CpuModel model = TinyModels.Load(file);
        using var rig = new CpuRig(model, chunk: 4);
        Request poisoned = CpuRig.NewRequest([5, 77, 5, 6, 7, 8, 9, 10, 11], 4, Greedy), other = CpuRig.NewRequest([5, 6, 7], 4, Greedy with { TopLogProbs = 5 });
        rig.Enqueue(poisoned);
        rig.Enqueue(other);

        rig.RunDry(poisoned, other);

        Assert.That(poisoned.Result!.Exception, Is.TypeOf<ModelOutputException>());
        Assert.That(poisoned.Result.Error, Does.Contain("not a finite number"));
        Assert.That(other.Result!.LogProbs!.Select(entry => float.IsFinite(entry.Chosen.LogProb)), Is.All.True);
    }

    /// <summary>Blocks come back into use with what their last owner left in them: numbers that are none must not reach positions that see none of them.</summary>
    [Test]
    public void What_a_poisoned_request_left_in_the_cache_harms_nobody([Values] KVElementType type, [Values(float.NaN, float.PositiveInfinity, 1e38f)] float bad)
    {
        const int Poison = 77;
        byte[] file = TinyModels.Write();
        using (GgufFile original = GgufFile.FromMemory(file))
        {
            GgufTensor embeddings = original.GetTensor("token_embd.weight");
            for (int i = 0; i < embeddings.RowLength; i++)
                BitConverter.TryWriteBytes(file.AsSpan((int)embeddings.Offset + Poison * embeddings.RowBytes + i * sizeof(float)), i % 2 == 0 ? bad : -bad);
        }
        using CpuModel model = TinyModels.Load(file);
        var options = new CpuExecutorOptions { Threads = 1, KVCacheTokens = 48, KVType = type };
        using var rig = new CpuRig(model, options);
        for (int length = 1; length <= 40; length++)
        {
            int[] prompt = [.. Enumerable.Range(0, length).Select(i => 100 + (i * 7 + length) % 50)];
            Request poisoned = CpuRig.NewRequest([.. Enumerable.Repeat(Poison, 47)], 1, Greedy);
            rig.Enqueue(poisoned);
            rig.RunDry(poisoned);
            Request healthy = CpuRig.NewRequest(prompt, 4, Greedy with { TopLogProbs = 5 }), alone = CpuRig.NewRequest(prompt, 4, Greedy with { TopLogProbs = 5 });
            rig.Enqueue(healthy);
            rig.RunDry(healthy);
            using var fresh = new CpuRig(model, options);
            fresh.Enqueue(alone);
            fresh.RunDry(alone);
            Assert.That(poisoned.Result!.Exception, Is.TypeOf<ModelOutputException>());
            Assert.That(healthy.GeneratedTokens, Is.GreaterThan(0), $"{length} tokens");
            Assert.That((Seen(healthy), healthy.Result!.Error), Is.EqualTo((Seen(alone), alone.Result!.Error)), $"{length} tokens; an answer may hold the poison itself");
        }
    }

    [Test]
    public void Samples_of_one_prompt_compute_it_once_and_share_its_blocks()
    {
        int[] prompt = [.. Enumerable.Range(0, 40).Select(i => 300 + i)];
        GenerationOptions options = GenerationOptions.Default with { Seed = 5, IgnoreEos = true, TopLogProbs = 5 };
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        string[] alone = [.. Enumerable.Range(0, 3).Select(sample =>
        {
            using var own = new CpuRig(model);
            Request request = CpuRig.NewRequest(prompt, 12, options, sample);
            own.Enqueue(request);
            own.RunDry(request);
            return Seen(request);
        })];
        int computed = 0, mostBlocks = 0;
        CpuRig rig = null!;
        using (rig = new CpuRig(model, wrap: executor => new WatchedExecutor(executor, batch =>
        {
            computed += batch.Schedule.Sum(scheduled => scheduled.Count);
            mostBlocks = Math.Max(mostBlocks, rig.ReferencedBlocks);
        })))
        {
            Request first = CpuRig.NewRequest(prompt, 12, options);
            rig.Enqueue(first);
            Request[] samples = [first, CpuRig.NewRequest(prompt, 12, options, 1, first), CpuRig.NewRequest(prompt, 12, options, 2, first)];
            foreach (Request sample in samples[1..]) rig.Enqueue(sample);

            rig.RunDry(samples);

            Assert.That(samples.Select(Seen), Is.EqualTo(alone));
        }
        Assert.That(computed, Is.LessThanOrEqualTo(40 + 2 + 3 * 11), "The prompt once, its last token again for each other sample, and the answers.");
        Assert.That(mostBlocks, Is.LessThanOrEqualTo(2 + 3 * 2), "Two full blocks of the prompt for all; 8 tokens of prompt and 12 of answer need two more each.");
    }

    [Test]
    public void What_the_cache_has_no_room_for_is_preempted_and_continues_with_the_same_bits()
    {
        int[] prompt = [.. Enumerable.Range(0, 30).Select(i => 700 + i)], other = [.. prompt.Select(id => id + 200)];
        GenerationOptions options = Greedy with { TopLogProbs = 5 };
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        string Alone(int[] ids)
        {
            using var own = new CpuRig(model);
            Request request = CpuRig.NewRequest(ids, 60, options);
            own.Enqueue(request);
            own.RunDry(request);
            return Seen(request);
        }

        // Each grows to 90 tokens, six blocks; together they have eight.
        using var rig = new CpuRig(model, new CpuExecutorOptions { Threads = 1, KVCacheTokens = 8 * 16 });
        Request low = CpuRig.NewRequest(prompt, 60, options, priority: Priority.Low), high = CpuRig.NewRequest(other, 60, options, priority: Priority.High);
        rig.Enqueue(low);
        rig.Enqueue(high);
        rig.RunDry(low, high);

        Assert.That((low.Result!.Preemptions > 0, high.Result!.Preemptions), Is.EqualTo((true, 0)));
        Assert.That((Seen(low), Seen(high)), Is.EqualTo((Alone(prompt), Alone(other))));
    }

    [Test]
    public void What_does_not_fit_into_the_cache_even_alone_fails_alone()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        using var rig = new CpuRig(model, new CpuExecutorOptions { Threads = 1, KVCacheTokens = 4 * 16 });
        Request large = CpuRig.NewRequest([.. Enumerable.Repeat(500, 50)], 40, Greedy), small = CpuRig.NewRequest([500], 10, Greedy);
        rig.Enqueue(large);
        rig.Enqueue(small);

        rig.RunDry(large, small);

        Assert.That((large.Result!.Reason, small.Result!.Reason), Is.EqualTo((CompletionReason.Failed, CompletionReason.MaxTokensReached)));
        Assert.That(large.Result.Exception, Is.TypeOf<SequenceTooLargeException>());
    }

    [Test]
    public void A_cancelled_request_frees_its_blocks_in_the_next_iteration()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        using var rig = new CpuRig(model, chunk: 16);
        using var cancellation = new CancellationTokenSource();
        Request request = CpuRig.NewRequest([.. Enumerable.Repeat(500, 40)], 40, Greedy, token: cancellation.Token);
        rig.Enqueue(request);
        rig.Iterate();
        rig.Iterate();
        Assert.That((rig.ReferencedBlocks > 0, request.GeneratedTokens), Is.EqualTo((true, 0)), "In the middle of its prompt.");

        cancellation.Cancel();
        rig.Iterate();

        Assert.That((rig.ReferencedBlocks, request.Result!.Reason), Is.EqualTo((0, CompletionReason.Cancelled)));
    }

    /// <summary>The loop on its own thread, stopped while a pass is under way.</summary>
    [Test]
    public async Task A_scheduler_that_stops_in_the_middle_of_generation_ends_every_request_and_frees_every_block()
    {
        const int LastPass = 5;
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously), stopping = new(TaskCreationOptions.RunContinuationsAsynchronously);
        int passes = 0;
        using var rig = new CpuRig(model, wrap: executor => new WatchedExecutor(executor, _ =>
        {
            if (++passes < LastPass) return;
            reached.TrySetResult();
            stopping.Task.Wait();
        }));
        Request[] requests = [.. Enumerable.Range(0, 3).Select(i => CpuRig.NewRequest([500 + i], 300, Greedy))];
        foreach (Request request in requests) rig.Enqueue(request);

        rig.Scheduler.Start();
        await reached.Task;
        Task stopped = rig.Scheduler.StopAsync(TimeSpan.Zero);
        stopping.SetResult();
        await stopped;

        Assert.That(requests.Select(request => request.Result!.Reason), Is.All.EqualTo(CompletionReason.Cancelled));
        Assert.That(requests.Select(request => request.Result!.TokensGenerated), Is.All.InRange(1, LastPass));
        Assert.That(rig.ReferencedBlocks, Is.Zero);
        Assert.That(passes, Is.EqualTo(LastPass));
    }

    [Test]
    public void A_steady_decode_step_allocates_nothing()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        var meter = new AllocationMeter();
        using var rig = new CpuRig(model, wrap: executor =>
        {
            meter.Inner = executor;
            return meter;
        });
        Request[] requests =
        [
            CpuRig.NewRequest([473, 551, 260, 469], 150, Greedy),
            CpuRig.NewRequest([290, 313, 286], 150, GenerationOptions.Default with { Seed = 1, IgnoreEos = true, TopK = 40, PresencePenalty = 1 }),
            CpuRig.NewRequest([290, 313, 287], 150, GenerationOptions.Default with { Seed = 1, IgnoreEos = true, TopP = 0.9f }),
        ];
        foreach (Request request in requests) rig.Enqueue(request);

        rig.RunDry(requests);

        Assert.That(meter.Steps, Has.Count.GreaterThanOrEqualTo(150));
        Assert.That(meter.Steps[50..140], Is.All.Zero);
    }

    [Test]
    [CancelAfter(60_000)]
    public async Task A_stop_that_runs_out_of_time_cancels_the_pass_and_the_executor_goes_on()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        var endless = new EndlessExecutor();
        using var rig = new CpuRig(model, wrap: executor =>
        {
            endless.Inner = executor;
            return endless;
        });
        Request stopped = CpuRig.NewRequest([473, 551, 260, 469], 8, Greedy with { TopLogProbs = 2 });
        rig.Enqueue(stopped);
        rig.Scheduler.Start();
        await endless.Runs.WaitAsync(TestContext.CurrentContext.CancellationToken);
        await rig.Scheduler.StopAsync(TimeSpan.Zero);
        Assert.That(stopped.Result!.Reason, Is.EqualTo(CompletionReason.Cancelled));

        endless.IsEndless = false;
        Request next = CpuRig.NewRequest([473, 551, 260, 469], 8, Greedy with { TopLogProbs = 2 }), alone = CpuRig.NewRequest([473, 551, 260, 469], 8, Greedy with { TopLogProbs = 2 });
        rig.Scheduler.Start();
        rig.Enqueue(next);
        while (!next.IsCompleted) await Task.Yield();
        await rig.Scheduler.StopAsync(TimeSpan.FromSeconds(10));
        using var other = new CpuRig(model);
        other.Enqueue(alone);
        other.RunDry(alone);
        Assert.That(Seen(next), Is.EqualTo(Seen(alone)));
    }

    [Test]
    public void Warming_up_changes_no_answer_even_between_two_batches([Values] bool isBetween)
    {
        foreach (string architecture in SyntheticModel.Architectures)
        {
            using CpuModel model = TinyModels.Load(TinyModels.Write(architecture));
            Request cold = CpuRig.NewRequest([5, 6, 7], 12, Greedy with { TopLogProbs = 3 }), warm = CpuRig.NewRequest([5, 6, 7], 12, Greedy with { TopLogProbs = 3 });
            using (var rig = new CpuRig(model))
            {
                rig.Enqueue(cold);
                rig.RunDry(cold);
            }
            using (var rig = new CpuRig(model))
            {
                if (!isBetween) rig.WarmUp();
                rig.Enqueue(warm);
                for (int i = 0; i < 4; i++) rig.Iterate();
                if (isBetween) rig.WarmUp();
                rig.RunDry(warm);
            }
            Assert.That(Seen(warm), Is.EqualTo(Seen(cold)), architecture);
        }
    }

    [Test]
    public void A_cache_that_is_not_the_executors_is_refused()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        using var rig = new CpuRig(model, new CpuExecutorOptions { Threads = 1, KVCacheTokens = 16 }, cache: new KVCacheConfiguration(64));
        Request request = CpuRig.NewRequest([.. Enumerable.Repeat(9, 40)], 4, Greedy);
        rig.Enqueue(request);

        rig.RunDry(request);

        Assert.That(request.Result!.Error, Does.Contain("none of the 1 of this executor").And.Contain("KVCache"));
    }

    [Test]
    public void A_batch_made_by_hand_is_refused()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        using var executor = new CpuModelExecutor(model, new CpuExecutorOptions { Threads = 1 });
        var batch = new Batch(1);
        batch.AddRequest(CpuRig.NewRequest([1], 1));
        Assert.That(() => executor.ExecuteBatchAsync(batch), Throws.ArgumentException.With.Message.Contains("BatchManager"));
        executor.Dispose();
        Assert.That(() => executor.ExecuteBatchAsync(new Batch(2)), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Options_out_of_range_are_refused_by_name()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        foreach (CpuExecutorOptions options in (CpuExecutorOptions[])[new() { Threads = 0 }, new() { Threads = 2000 }, new() { KVCacheTokens = 0 }, new() { KVType = (KVElementType)9 }])
            Assert.That(() => new CpuModelExecutor(model, options), Throws.TypeOf<ArgumentOutOfRangeException>(), $"{options}");
    }

    /// <summary>Computes its first batch again and again, until it is cancelled.</summary>
    private sealed class EndlessExecutor : IModelExecutor
    {
        private readonly TaskCompletionSource _runs = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CpuModelExecutor? Inner { get; set; }

        public bool IsEndless { get; set; } = true;

        public Task Runs => _runs.Task;

        public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
        {
            while (true)
            {
                Task<BatchOutput> output = Inner!.ExecuteBatchAsync(batch, cancellationToken);
                _runs.TrySetResult();
                if (!IsEndless || output.IsCanceled) return output;
            }
        }
    }

    private sealed class WatchedExecutor(IModelExecutor inner, Action<Batch> beforePass) : IModelExecutor
    {
        public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
        {
            beforePass(batch);
            return inner.ExecuteBatchAsync(batch, cancellationToken);
        }
    }

    private sealed class AllocationMeter : IModelExecutor
    {
        public CpuModelExecutor? Inner { get; set; }

        public List<long> Steps { get; } = new(1000);

        public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Task<BatchOutput> output = Inner!.ExecuteBatchAsync(batch, cancellationToken);
            Steps.Add(GC.GetAllocatedBytesForCurrentThread() - before);
            return output;
        }
    }
}
