using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

/// <summary>One request of a mix.</summary>
/// <param name="Prompt">Token ids.</param>
/// <param name="MaxTokens">Most tokens of the answer.</param>
/// <param name="Options">How to sample.</param>
/// <param name="Priority">Its class.</param>
/// <param name="Arrival">Iteration in which it is enqueued.</param>
/// <param name="Cancellation">Iteration in which it is cancelled; null for never.</param>
/// <param name="Sample">Which sample of its prompt; those after the first share the blocks of the request that many before it.</param>
internal sealed record MixedRequest(int[] Prompt, int MaxTokens, GenerationOptions Options, Priority Priority, int Arrival, int? Cancellation, int Sample)
{
    public override string ToString() =>
        $"{Prompt.Length} tokens of prompt, at most {MaxTokens} of answer, {Priority}, sample {Sample}, temperature {Options.Temperature}, arrives in {Arrival}, cancelled in {Cancellation?.ToString() ?? "none"}";
}

/// <summary>What a seed stands for: requests, and how they are computed together.</summary>
/// <param name="Seed">The seed.</param>
/// <param name="Model">Which model.</param>
/// <param name="KernelSet">Index of a kernel set that this machine supports.</param>
/// <param name="Threads">Members of the team.</param>
/// <param name="LeastSharedWork">As <see cref="ForwardPass.LeastSharedWork"/>; 0 for the whole team always.</param>
/// <param name="CacheTokens">Size of the cache; small, so that requests are preempted.</param>
/// <param name="KVType">How keys and values are stored.</param>
/// <param name="MaxBatchSize">Most requests at once.</param>
/// <param name="Chunk">Most tokens of a prompt at once.</param>
/// <param name="TokensPerIteration">Most tokens at once.</param>
/// <param name="Requests">The requests.</param>
internal sealed record RequestMix(
    int Seed, MixModel Model, int KernelSet, int Threads, long LeastSharedWork, int CacheTokens, KVElementType KVType, int MaxBatchSize, int Chunk, int TokensPerIteration, IReadOnlyList<MixedRequest> Requests)
{
    private const int LongestAnswer = 32, CommonLength = 48, LongestOwn = 40, LastArrival = 20, LeastBlocks = 8, MostBlocks = 11;

    public static RequestMix Draw(int seed)
    {
        var random = new Random(seed);
        MixModel model = MixModel.All[random.Next(MixModel.All.Count)];
        int most = random.Next(2, 10), scale = DrawScale(random, model);
        return new RequestMix(
            seed, model, random.Next(Cpu.KernelSet.Supported.Length), 1 + random.Next(3), random.Next(2) == 0 ? 0 : ForwardPass.LeastSharedWork,
            random.Next(LeastBlocks, MostBlocks + 1) * scale * PagedAttention.BlockLength, (KVElementType)random.Next(Enum.GetValues<KVElementType>().Length), most, random.Next(1, 64), most + random.Next(64), [.. DrawRequests(random, model.VocabularySize, scale)]);
    }

    public override string ToString() =>
        $"seed {Seed}: {Model}, kernels {Cpu.KernelSet.Supported[KernelSet]}, {Threads} threads from {LeastSharedWork} bytes, {CacheTokens} tokens of {KVType} cache, "
        + $"batches of {MaxBatchSize}, chunks of {Chunk}, {TokensPerIteration} tokens an iteration; {string.Join("; ", Requests.Select((request, i) => $"{i}: {request}"))}";

    private static IEnumerable<MixedRequest> DrawRequests(Random random, int vocabularySize, int scale)
    {
        int[] common = Tokens(random, CommonLength * scale, vocabularySize);
        for (int prompts = random.Next(3, 7); prompts > 0; prompts--)
        {
            // Some prompts end where a block does: there the next token's block is new, or a cached one is copied.
            int[] own = Tokens(random, random.Next(4) == 0 ? 16 * random.Next(1, 3) : random.Next(1, LongestOwn * scale), vocabularySize);
            int[] prompt = random.Next(2) == 0 ? own : [.. common.Take(random.Next(16, CommonLength * scale + 1)), .. own];
            var priority = (Priority)random.Next(4);
            int arrival = random.Next(LastArrival);
            GenerationOptions options = random.Next(3) switch
            {
                0 => GenerationOptions.Default with { Temperature = 0 },
                1 => GenerationOptions.Default with { Seed = random.Next(), TopK = random.Next(1, 100), TopP = 0.9f },
                _ => GenerationOptions.Default with { Seed = random.Next(), FrequencyPenalty = 0.5f },
            };
            for (int sample = 0, samples = Math.Max(1, random.Next(-2, 4)); sample < samples; sample++)
            {
                yield return new MixedRequest(
                    prompt, random.Next(1, LongestAnswer), options with { IgnoreEos = random.Next(4) > 0, TopLogProbs = random.Next(4) }, priority, arrival,
                    random.Next(5) == 0 ? arrival + random.Next(30) : null, sample);
            }
        }
    }

    /// <summary>How much longer all prompts of a mix are: most are short; some cross a chunk of attention's sums, and some of small models a span.</summary>
    private static int DrawScale(Random random, MixModel model) => random.Next(10) switch
    {
        0 => Math.Min(14, model.Context / (CommonLength + LongestOwn + LongestAnswer)),
        1 or 2 => 3,
        _ => 1,
    };

    private static int[] Tokens(Random random, int count, int vocabularySize) => [.. Enumerable.Range(0, count).Select(_ => random.Next(3, vocabularySize))];
}
