using MLFramework.Inference.ContinuousBatching;
using NSubstitute;

namespace MLFramework.Cpu.Tests;

public sealed class CpuModelExecutorTests
{
    private static readonly GenerationOptions Greedy = GenerationOptions.Default with { Temperature = 0, IgnoreEos = true };

    /// <summary>What a caller can see of a response, bit for bit.</summary>
    private static string Seen(Request request) => string.Join(' ', request.Result!.LogProbs!.Select(entry =>
        $"{entry.Chosen.TokenId}:{string.Join(',', entry.Top.Prepend(entry.Chosen).Select(top => $"{top.TokenId}/{BitConverter.SingleToUInt32Bits(top.LogProb):x}"))}"));

    /// <summary>
    /// Random mixes of requests that join and leave, share prefixes, are computed in chunks and preempted: each answers, to the last bit of its
    /// log-probabilities, as it does alone.
    /// </summary>
    [Test]
    public void A_request_is_answered_with_the_same_bits_alone_and_in_any_company()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        int preemptions = 0, cached = 0, most = 0;
        for (int seed = 0; seed < 12; seed++)
        {
            var random = new Random(seed);
            (int[] Prompt, int MaxTokens, GenerationOptions Options, int Arrival)[] mix = [.. RandomMix(random)];
            var options = new CpuExecutorOptions { Threads = 1 + seed % 3, KVCacheTokens = random.Next(9, 13) * 16, KVType = (KVElementType)(seed % 3) };
            using var rig = new CpuRig(model, options, maxBatchSize: random.Next(2, 9), chunk: random.Next(1, 64));
            Request[] together = [.. mix.Select(one => CpuRig.NewRequest(one.Prompt, one.MaxTokens, one.Options))];
            for (int iteration = 0; together.Any(request => !request.IsCompleted); iteration++)
            {
                Assert.That(iteration, Is.LessThan(20_000), "Requests that never end.");
                for (int i = 0; i < mix.Length; i++)
                    if (mix[i].Arrival == iteration) rig.Enqueue(together[i]);
                rig.Iterate();
            }

            for (int i = 0; i < mix.Length; i++)
            {
                Request alone = CpuRig.NewRequest(mix[i].Prompt, mix[i].MaxTokens, mix[i].Options);
                using var own = new CpuRig(model, options with { Threads = 1, KVCacheTokens = 512 }, maxBatchSize: 1);
                own.Enqueue(alone);
                own.RunDry(alone);
                Assert.That(Seen(together[i]), Is.EqualTo(Seen(alone)), $"seed {seed}, request {i}");
                preemptions += together[i].Result!.Preemptions;
                cached += together[i].Result!.CachedPromptTokens;
                most = Math.Max(most, together[i].Result!.TokensGenerated);
            }
        }
        Assert.That((preemptions > 0, cached > 0, most > 10), Is.EqualTo((true, true, true)), "The mixes were too tame to show anything.");
    }

    private static IEnumerable<(int[] Prompt, int MaxTokens, GenerationOptions Options, int Arrival)> RandomMix(Random random)
    {
        int[] common = [.. Enumerable.Range(0, 48).Select(_ => random.Next(3, 2048))];
        for (int i = 0; i < 7; i++)
        {
            int[] own = [.. Enumerable.Range(0, random.Next(1, 40)).Select(_ => random.Next(3, 2048))];
            GenerationOptions options = random.Next(3) switch
            {
                0 => Greedy,
                1 => GenerationOptions.Default with { Seed = random.Next(), TopK = random.Next(1, 100), TopP = 0.9f, IgnoreEos = true },
                _ => GenerationOptions.Default with { Seed = random.Next(), FrequencyPenalty = 0.5f, IgnoreEos = true },
            };
            yield return (random.Next(2) == 0 ? own : [.. common.Take(random.Next(16, 49)), .. own], random.Next(5, 40), options with { TopLogProbs = 5 }, random.Next(0, 20));
        }
    }

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
