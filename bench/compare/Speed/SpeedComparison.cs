using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>What to compare.</summary>
/// <param name="Batches">Numbers of sequences that decode; empty for none.</param>
/// <param name="Context">Tokens that each of them has before the step.</param>
/// <param name="Prompts">Lengths of prompts; empty for none.</param>
/// <param name="Repetitions">Pairs of steps per cell and kind of attention.</param>
/// <param name="Threads">Threads of each engine.</param>
/// <param name="Seed">Of prompts, tokens and block tables.</param>
/// <param name="CountsProcessorTime">Whether a step's time is what the process computed instead of what a clock says; for a single thread on a busy machine.</param>
internal sealed record SpeedSettings(int[] Batches, int Context, int[] Prompts, int Repetitions, int Threads, int Seed, bool CountsProcessorTime = false);

/// <summary>
/// Measures both engines on one model in one process: our step, llama.cpp's step, our step, and so on. A step begins with what a caller has, tokens to compute,
/// and ends with what it wants, the greedy token of each sequence. Between its steps neither engine runs: our threads sleep, llama.cpp ends its own.
/// </summary>
/// <param name="own">The model in our engine.</param>
/// <param name="peer">The same file in llama.cpp.</param>
/// <param name="settings">What to compare.</param>
internal sealed class SpeedComparison(CpuModel own, PeerModel peer, SpeedSettings settings)
{
    private const int Warmups = 3, MostTimesRepetitions = 10, IdlePrompt = 64, IdleLooks = 5;

    /// <summary>Short steps are repeated more often than asked for, until they have taken this long.</summary>
    private static readonly TimeSpan s_leastTime = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan s_idleTime = TimeSpan.FromMilliseconds(10);

    private static readonly TimeProvider s_clock = TimeProvider.System;

    /// <summary>Measures all cells.</summary>
    /// <param name="report">Told each cell when it is done.</param>
    public List<SpeedCell> Run(Action<SpeedCell> report)
    {
        var cells = new List<SpeedCell>();
        foreach (SpeedCell cell in RunDecodes().Concat(settings.Prompts.Select(RunPrefill)))
        {
            cells.Add(cell);
            report(cell);
        }
        return [.. cells.OrderBy(cell => (cell.Phase, cell.Batch, cell.Length))];
    }

    /// <summary>
    /// How busy the process is while neither engine has anything to do, right after a step of each, in cores: an engine that spins between its steps slows the
    /// other's. The calmest of several looks, since the runtime compiles in the background.
    /// </summary>
    public (double Own, double Peer) MeasureIdle()
    {
        int[] prompt = RandomTokens(new Random(settings.Seed), IdlePrompt);
        using var engine = new OwnEngine(own, settings.Threads, 1, prompt.Length, settings.Seed);
        using var context = new PeerContext(peer, 1, prompt.Length, settings.Threads, flashAttention: true);
        return (Calmest(() => engine.Prefill(prompt)), Calmest(() =>
        {
            context.Reset();
            PrefillPeer(context, prompt);
        }));
    }

    private static double Calmest(Action step) => Enumerable.Range(0, IdleLooks).Min(_ =>
    {
        step();
        TimeSpan before = Environment.CpuUsage.TotalTime;
        long start = s_clock.GetTimestamp();
        using (var wait = new PeriodicTimer(s_idleTime, s_clock)) wait.WaitForNextTickAsync().AsTask().GetAwaiter().GetResult();
        return (Environment.CpuUsage.TotalTime - before) / s_clock.GetElapsedTime(start);
    });

    /// <summary>From the largest batch down: our sequences compute their prompts once.</summary>
    private IEnumerable<SpeedCell> RunDecodes()
    {
        if (settings.Batches.Length == 0) yield break;
        var random = new Random(settings.Seed);
        int most = settings.Batches.Max();
        // llama.cpp gets copies of one computed prompt, so ours have the same content too, in blocks of their own; the tokens to decode differ.
        int[] prompt = RandomTokens(random, settings.Context), next = RandomTokens(random, most);
        using var engine = new OwnEngine(own, settings.Threads, most, settings.Context + 1, settings.Seed);
        engine.Start([.. Enumerable.Repeat(prompt, most)], next);
        foreach (int batch in settings.Batches.Distinct().OrderDescending())
        {
            engine.Keep(batch);
            (PairedTimes withFlash, int same) = MeasureDecode(engine, batch, prompt, next, flashAttention: true);
            (PairedTimes without, _) = MeasureDecode(engine, batch, prompt, next, flashAttention: false);
            yield return SpeedCell.Of(Phase.Decode, batch, settings.Context, withFlash, without, same);
        }
    }

    private (PairedTimes Times, int SameTokens) MeasureDecode(OwnEngine engine, int batch, int[] prompt, int[] next, bool flashAttention)
    {
        using var context = new PeerContext(peer, batch, prompt.Length + 1, settings.Threads, flashAttention);
        PrefillPeer(context, prompt);
        context.Copy(0, Enumerable.Range(1, batch - 1));
        int[] ownTokens = new int[batch], peerTokens = new int[batch];
        PairedTimes times = Measure(
            () => engine.Step(ownTokens),
            () =>
            {
                context.Clear();
                for (int i = 0; i < batch; i++) context.Add(next[i], prompt.Length, i, wantsLogits: true);
                context.Decode();
                for (int i = 0; i < batch; i++) peerTokens[i] = Sampler.IndexOfMax(context.Logits(i));
            },
            afterPeer: () =>
            {
                for (int i = 0; i < batch; i++) context.Truncate(i, prompt.Length);
            });
        return (times, ownTokens.Zip(peerTokens).Count(pair => pair.First == pair.Second));
    }

    private SpeedCell RunPrefill(int length)
    {
        int[] prompt = RandomTokens(new Random(settings.Seed), length);
        using var engine = new OwnEngine(own, settings.Threads, 1, length, settings.Seed);
        (PairedTimes withFlash, int same) = MeasurePrefill(engine, prompt, flashAttention: true);
        (PairedTimes without, _) = MeasurePrefill(engine, prompt, flashAttention: false);
        return SpeedCell.Of(Phase.Prefill, 1, length, withFlash, without, same);
    }

    private (PairedTimes Times, int SameTokens) MeasurePrefill(OwnEngine engine, int[] prompt, bool flashAttention)
    {
        using var context = new PeerContext(peer, 1, prompt.Length, settings.Threads, flashAttention);
        int ownToken = 0, peerToken = 0;
        PairedTimes times = Measure(() => ownToken = engine.Prefill(prompt), () => peerToken = PrefillPeer(context, prompt), context.Reset);
        return (times, ownToken == peerToken ? 1 : 0);
    }

    private PairedTimes Measure(Action ownStep, Action peerStep, Action afterPeer)
    {
        var times = new PairedTimes();
        long start = s_clock.GetTimestamp();
        for (int i = -Warmups; i < settings.Repetitions || (i < MostTimesRepetitions * settings.Repetitions && s_clock.GetElapsedTime(start) < s_leastTime); i++)
        {
            double ownSeconds = Seconds(ownStep), peerSeconds = Seconds(peerStep);
            afterPeer();
            if (i >= 0) times.Add(ownSeconds, peerSeconds);
        }
        return times;
    }

    private static int PrefillPeer(PeerContext context, int[] prompt)
    {
        context.Clear();
        for (int i = 0; i < prompt.Length; i++) context.Add(prompt[i], i, 0, wantsLogits: i == prompt.Length - 1);
        context.Decode();
        return Sampler.IndexOfMax(context.Logits(prompt.Length - 1));
    }

    private double Seconds(Action step)
    {
        long start = s_clock.GetTimestamp();
        TimeSpan computed = Environment.CpuUsage.TotalTime;
        step();
        return settings.CountsProcessorTime ? (Environment.CpuUsage.TotalTime - computed).TotalSeconds : s_clock.GetElapsedTime(start).TotalSeconds;
    }

    private int[] RandomTokens(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(own.HyperParameters.VocabularySize))];
}
