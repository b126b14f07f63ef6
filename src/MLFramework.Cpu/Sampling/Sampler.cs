using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>
/// Chooses tokens: penalties, temperature, top-k, top-p (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020), in this order. Not
/// thread-safe: it keeps its scratch memory.
/// </summary>
/// <param name="vocabularySize">Number of token ids.</param>
internal sealed class Sampler(int vocabularySize)
{
    private readonly ulong[] _candidates = new ulong[vocabularySize];
    private readonly float[] _weights = new float[Padding.Pad(vocabularySize)];
    private readonly int[] _penalizedIn = new int[vocabularySize];
    private int _penalizedCalls;

    /// <summary>Chooses a token.</summary>
    /// <param name="logits">One finite number per token; penalties are subtracted from them.</param>
    /// <param name="parameters">How to choose.</param>
    /// <param name="generated">Tokens that the penalties count.</param>
    /// <param name="position">Position of the token to be chosen.</param>
    public int Sample(Span<float> logits, SamplingParameters parameters, ReadOnlySpan<int> generated, int position)
    {
        if (parameters.FrequencyPenalty != 0 || parameters.PresencePenalty != 0) Penalize(logits, parameters, generated);
        int likeliest = IndexOfMax(logits);
        if (parameters.Temperature == 0) return likeliest;

        double draw = CounterRandom.NextDouble(parameters.Seed, parameters.Sample, position);
        float largest = logits[likeliest];
        if (parameters.TopK < logits.Length)
        {
            Span<ulong> best = TakeBest(logits, parameters.TopK);
            Span<float> weights = _weights.AsSpan(0, best.Length);
            for (int i = 0; i < best.Length; i++) weights[i] = logits[TokenOf(best[i])];
            Weights.Exponentiate(weights, largest, parameters.Temperature, weights);
            return TokenOf(best[Weights.Draw(Nucleus(weights, Weights.Sum(weights), parameters.TopP), draw)]);
        }

        Span<float> all = _weights.AsSpan(0, logits.Length);
        Weights.Exponentiate(logits, largest, parameters.Temperature, all);
        return parameters.TopP >= 1 ? Weights.Draw(all, draw) : DrawFromNucleus(logits, all, parameters.TopP, draw);
    }

    /// <summary>The index of the largest element, the first of several.</summary>
    public static int IndexOfMax(ReadOnlySpan<float> values)
    {
        float largest = float.NegativeInfinity;
        ReadOnlySpan<Vector256<float>> vectors = MemoryMarshal.Cast<float, Vector256<float>>(values);
        if (vectors.Length > 0)
        {
            // Four maxima, so that none waits for the one before.
            Vector256<float> lanes = vectors[0], second = lanes, third = lanes, fourth = lanes;
            int i = 0;
            for (; i + 4 <= vectors.Length; i += 4)
            {
                lanes = Vector256.Max(lanes, vectors[i]);
                second = Vector256.Max(second, vectors[i + 1]);
                third = Vector256.Max(third, vectors[i + 2]);
                fourth = Vector256.Max(fourth, vectors[i + 3]);
            }
            for (; i < vectors.Length; i++) lanes = Vector256.Max(lanes, vectors[i]);
            lanes = Vector256.Max(Vector256.Max(lanes, second), Vector256.Max(third, fourth));
            largest = VectorMath.Max(lanes);
        }
        foreach (float value in values[(vectors.Length * Vector256<float>.Count)..]) largest = MathF.Max(largest, value);
        return values.IndexOf(largest);
    }

    private void Penalize(Span<float> logits, SamplingParameters parameters, ReadOnlySpan<int> generated)
    {
        _penalizedCalls++;
        foreach (int token in generated)
        {
            logits[token] -= parameters.FrequencyPenalty;
            if (_penalizedIn[token] == _penalizedCalls) continue;
            _penalizedIn[token] = _penalizedCalls;
            logits[token] -= parameters.PresencePenalty;
        }
    }

    /// <summary>The candidates of the largest logits, likeliest first; of equal logits the smaller id.</summary>
    private Span<ulong> TakeBest(ReadOnlySpan<float> logits, int count)
    {
        // A heap with the worst of the best on top: most tokens need one comparison.
        Span<ulong> heap = _candidates.AsSpan(0, count);
        for (int token = 0; token < count; token++) heap[token] = Candidate(logits[token], token);
        for (int i = count / 2 - 1; i >= 0; i--) SiftDown(heap, i);
        for (int token = count; token < logits.Length; token++)
        {
            ulong candidate = Candidate(logits[token], token);
            if (candidate >= heap[0]) continue;
            heap[0] = candidate;
            SiftDown(heap, 0);
        }
        heap.Sort();
        return heap;
    }

    private static void SiftDown(Span<ulong> heap, int index)
    {
        for (int child = 2 * index + 1; child < heap.Length; index = child, child = 2 * index + 1)
        {
            if (child + 1 < heap.Length && heap[child + 1] > heap[child]) child++;
            if (heap[child] <= heap[index]) return;
            (heap[child], heap[index]) = (heap[index], heap[child]);
        }
    }

    /// <summary>
    /// Draws from the nucleus without sorting the vocabulary: the tokens above a threshold are sorted, and the threshold falls until they hold enough
    /// probability.
    /// </summary>
    private int DrawFromNucleus(ReadOnlySpan<float> logits, Span<float> weights, float topP, double draw)
    {
        double total = Weights.Sum(weights);
        float threshold = 1f / 16;
        while (threshold > 0 && Weights.Sum(weights, threshold) < topP * total) threshold = threshold > 1e-30f ? threshold * threshold : 0;
        int count = 0;
        for (int token = 0; token < weights.Length; token++)
            if (weights[token] >= threshold) _candidates[count++] = Candidate(logits[token], token);
        Span<ulong> best = _candidates.AsSpan(0, count);
        best.Sort();

        double mass = 0;
        int kept = 0;
        while (kept < count && mass < topP * total) mass += weights[TokenOf(best[kept++])];
        double target = draw * mass;
        foreach (ulong candidate in best[..kept])
        {
            target -= weights[TokenOf(candidate)];
            if (target < 0) return TokenOf(candidate);
        }
        return TokenOf(best[0]);
    }

    /// <summary>The shortest beginning of weights, likeliest first, that reaches a share of their total.</summary>
    private static Span<float> Nucleus(Span<float> weights, double total, float topP)
    {
        double mass = 0;
        int count = 0;
        while (count < weights.Length && mass < topP * total) mass += weights[count++];
        return weights[..count];
    }

    /// <summary>A number that is smaller the larger the logit, then the smaller the token.</summary>
    private static ulong Candidate(float logit, int token)
    {
        int bits = BitConverter.SingleToInt32Bits(logit);
        uint ascending = (uint)(bits ^ bits >> 31 & int.MaxValue) ^ 0x80000000;
        return (ulong)~ascending << 32 | (uint)token;
    }

    private static int TokenOf(ulong candidate) => (int)(uint)candidate;
}
