namespace MLFramework.Inference.ContinuousBatching;

/// <summary>A token with its log-probability.</summary>
/// <param name="TokenId">Id of the token.</param>
/// <param name="LogProb">Natural logarithm of its probability; at most 0.</param>
public readonly record struct TokenLogProb(int TokenId, float LogProb);

/// <summary>The log-probability of a generated token and of the likeliest alternatives.</summary>
/// <param name="Chosen">The token generated.</param>
/// <param name="Top">The likeliest tokens, likeliest first; as many as were asked for.</param>
public sealed record class TokenLogProbs(TokenLogProb Chosen, IReadOnlyList<TokenLogProb> Top)
{
    /// <summary>Computes log-probabilities from logits by a log-softmax in double precision.</summary>
    /// <param name="logits">One finite number per vocabulary entry.</param>
    /// <param name="tokenId">The token generated, an index into <paramref name="logits"/>.</param>
    /// <param name="top">How many alternatives, 0 to <see cref="GenerationOptions.MaxTopLogProbs"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="tokenId"/> is not in the vocabulary, or <paramref name="top"/> is negative.</exception>
    /// <exception cref="ModelOutputException">A logit is not a number or plus infinity.</exception>
    public static TokenLogProbs FromLogits(ReadOnlySpan<float> logits, int tokenId, int top)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokenId);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(tokenId, logits.Length);
        ArgumentOutOfRangeException.ThrowIfNegative(top);

        float max = float.NegativeInfinity;
        foreach (float logit in logits)
        {
            if (float.IsNaN(logit) || float.IsPositiveInfinity(logit))
            {
                throw new ModelOutputException($"The model's logits hold {logit}; probabilities cannot be computed from them.");
            }

            max = MathF.Max(max, logit);
        }

        double sum = 0;
        foreach (float logit in logits)
        {
            sum += Math.Exp((double)logit - max);
        }

        double logSum = Math.Log(sum);
        var best = new PriorityQueue<int, (float, int)>();
        for (int id = 0; id < logits.Length && top > 0; id++)
        {
            // Of equal logits the smaller id ranks first, so that the order is the same on every machine.
            var rank = (logits[id], -id);
            if (best.Count < top)
            {
                best.Enqueue(id, rank);
            }
            else
            {
                best.EnqueueDequeue(id, rank);
            }
        }

        var alternatives = new TokenLogProb[best.Count];
        for (int i = alternatives.Length - 1; i >= 0; i--)
        {
            int id = best.Dequeue();
            alternatives[i] = new TokenLogProb(id, (float)((double)logits[id] - max - logSum));
        }

        return new TokenLogProbs(new TokenLogProb(tokenId, (float)((double)logits[tokenId] - max - logSum)), alternatives);
    }
}
