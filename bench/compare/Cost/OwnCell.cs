using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>Our engine at one piece of work, alone.</summary>
/// <param name="Title">What it does.</param>
/// <param name="Tokens">Tokens of a step.</param>
/// <param name="Seconds">The median step.</param>
/// <param name="Work">What a step has to do.</param>
internal sealed record OwnCell(string Title, int Tokens, double Seconds, StepWork Work)
{
    private const int Warmups = 3;

    private static readonly TimeProvider s_clock = TimeProvider.System;

    /// <summary>Measures decodes, from the largest batch down, and prefills.</summary>
    public static IEnumerable<OwnCell> Measure(CpuModel model, int[] batches, int context, int[] prompts, int repetitions, int threads)
    {
        long perToken = PagedAttention.BytesPerToken(model.AttentionShape, KVElementType.F16);
        var random = new Random(1);
        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(model.HyperParameters.VocabularySize))];
        if (batches.Length > 0)
        {
            int most = batches.Max();
            int[] prompt = Tokens(context), sampled = new int[most];
            using var engine = new OwnEngine(model, threads, most, context + 1, seed: 1);
            engine.Start([.. Enumerable.Repeat(prompt, most)], Tokens(most));
            foreach (int batch in batches.Distinct().OrderDescending())
            {
                engine.Keep(batch);
                double seconds = MedianSeconds(repetitions, () => engine.Step(sampled));
                yield return new OwnCell($"batch {batch}", batch, seconds, StepWork.Decode(model.HyperParameters, model.PackedBytes, perToken, batch, context + 1));
            }
        }
        foreach (int length in prompts)
        {
            int[] prompt = Tokens(length);
            using var engine = new OwnEngine(model, threads, 1, length, seed: 1);
            double seconds = MedianSeconds(repetitions, () => engine.Prefill(prompt));
            yield return new OwnCell($"prefill {length}", length, seconds, StepWork.Prefill(model.HyperParameters, model.PackedBytes, perToken, length));
        }
    }

    private static double MedianSeconds(int repetitions, Action step)
    {
        var seconds = new double[repetitions];
        for (int i = -Warmups; i < repetitions; i++)
        {
            long start = s_clock.GetTimestamp();
            step();
            if (i >= 0) seconds[i] = s_clock.GetElapsedTime(start).TotalSeconds;
        }
        return PairedTimes.Median(seconds);
    }
}
