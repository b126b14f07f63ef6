using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

/// <summary>Computes a mix together, then each of its requests alone, and compares all that was computed bit for bit.</summary>
internal sealed class MixRun(RequestMix mix)
{
    private const int MostIterations = 20_000, RoomyCache = 2048;

    public int Preemptions { get; private set; }

    public int CachedTokens { get; private set; }

    public int Cancelled { get; private set; }

    public int Copies { get; private set; }

    public int SharedPasses { get; private set; }

    public int MixedPasses { get; private set; }

    public int Tokens { get; private set; }

    public int LongestSequence { get; private set; }

    /// <summary>Runs the mix.</summary>
    /// <param name="together">The model that computes the mix.</param>
    /// <param name="alone">The model that computes each request alone, on one thread, with room for all and in as few passes as can be.</param>
    /// <returns>The first difference in words; null for none.</returns>
    public string? FindDifference(CpuModel together, CpuModel alone)
    {
        var journal = new LogitsJournal();
        Request[] requests = RunTogether(together, journal);
        (SharedPasses, MixedPasses, Copies) = (journal.SharedPasses, journal.MixedPasses, journal.Copies);
        for (int i = 0; i < requests.Length; i++)
        {
            RequestResult result = requests[i].Result!;
            Preemptions += result.Preemptions;
            CachedTokens += result.CachedPromptTokens;
            Tokens += result.TokensGenerated;
            LongestSequence = Math.Max(LongestSequence, result.PromptTokens + result.TokensGenerated);
            if (result.Reason == CompletionReason.Cancelled) Cancelled++;
            if (result.Error is { } error) return $"Request {i} failed: {error}";
            if (CompareWithAlone(requests[i], journal, mix.Requests[i], alone) is { } difference) return $"Request {i} {difference}";
        }
        return null;
    }

    private Request[] RunTogether(CpuModel model, LogitsJournal journal)
    {
        var options = new CpuExecutorOptions { Threads = mix.Threads, KVCacheTokens = mix.CacheTokens, KVType = mix.KVType };
        using var rig = new CpuRig(
            model, options, mix.MaxBatchSize, mix.Chunk, journal: journal, leastSharedWork: mix.LeastSharedWork, tokensPerIteration: mix.TokensPerIteration);
        var cancellations = new CancellationTokenSource[mix.Requests.Count];
        var requests = new Request[mix.Requests.Count];
        for (int i = 0; i < requests.Length; i++)
        {
            MixedRequest wanted = mix.Requests[i];
            cancellations[i] = new CancellationTokenSource();
            requests[i] = CpuRig.NewRequest(
                wanted.Prompt, wanted.MaxTokens, wanted.Options, wanted.Sample, wanted.Sample == 0 ? null : requests[i - wanted.Sample], wanted.Priority, cancellations[i].Token);
        }
        for (int iteration = 0; requests.Any(request => !request.IsCompleted); iteration++)
        {
            Assert.That(iteration, Is.LessThan(MostIterations), $"Requests that never end; {mix}");
            for (int i = 0; i < requests.Length; i++)
            {
                if (mix.Requests[i].Arrival == iteration) rig.Enqueue(requests[i]);
                if (mix.Requests[i].Cancellation == iteration) cancellations[i].Cancel();
            }
            rig.Iterate();
        }
        Assert.That(rig.ReferencedBlocks, Is.Zero, $"Blocks that nobody freed; {mix}");
        foreach (CancellationTokenSource cancellation in cancellations) cancellation.Dispose();
        return requests;
    }

    /// <summary>Compares a request with its like that has the model to itself; of one that was cancelled the answer as far as it came.</summary>
    private string? CompareWithAlone(Request request, LogitsJournal together, MixedRequest wanted, CpuModel model)
    {
        var journal = new LogitsJournal();
        using var rig = new CpuRig(model, new CpuExecutorOptions { Threads = 1, KVCacheTokens = RoomyCache, KVType = mix.KVType }, maxBatchSize: 1, journal: journal);
        Request alone = CpuRig.NewRequest(wanted.Prompt, wanted.MaxTokens, wanted.Options, wanted.Sample);
        rig.Enqueue(alone);
        rig.RunDry(alone);

        int tokens = request.GeneratedTokenIds.Count;
        bool isWhole = request.Result!.Reason != CompletionReason.Cancelled;
        if (isWhole && (tokens != alone.GeneratedTokenIds.Count || request.Result.Reason != alone.Result!.Reason))
            return $"ended with {tokens} tokens ({request.Result.Reason}), alone with {alone.GeneratedTokenIds.Count} ({alone.Result!.Reason})";
        for (int i = 0; i < tokens; i++)
        {
            if (together.Of(request)[i] != journal.Of(alone)[i]) return $"has other logits at token {i}";
            if (request.GeneratedTokenIds[i] != alone.GeneratedTokenIds[i]) return $"has another token {i}";
            if (Bits(request.Result.LogProbs![i]) != Bits(alone.Result!.LogProbs![i])) return $"has other log-probabilities at token {i}";
        }
        return null;
    }

    private static string Bits(TokenLogProbs entry) =>
        string.Join(' ', entry.Top.Prepend(entry.Chosen).Select(top => $"{top.TokenId}:{BitConverter.SingleToUInt32Bits(top.LogProb):x}"));
}
