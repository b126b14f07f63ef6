namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Finds executors that lie, before anything of their output is believed.</summary>
internal static class OutputCheck
{
    /// <summary>Checks an output against its batch.</summary>
    /// <param name="batch">What was to be computed.</param>
    /// <param name="output">What the executor returned.</param>
    /// <param name="vocabularySize">Number of token ids; not positive when unknown.</param>
    /// <param name="tokens">Receives each request's token in the order of the batch, −1 where none was due; at least the batch's size.</param>
    /// <returns>The defect, or null.</returns>
    public static ModelOutputException? Validate(Batch batch, BatchOutput? output, int vocabularySize, Span<int> tokens)
    {
        if (output is null || output.GeneratedTokens is null || output.IsEosReached is null)
        {
            return new ModelOutputException("The executor returned no output, or one without tokens or end flags.");
        }

        if (output.IsEosReached.Length != batch.Size)
        {
            return new ModelOutputException($"The executor returned {output.IsEosReached.Length} end flags for a batch of {batch.Size} requests.");
        }

        for (int i = 0; i < batch.Size; i++)
        {
            ScheduledTokens scheduled = batch.ScheduleAt(i);
            RequestId id = scheduled.Request.Id;
            tokens[i] = -1;
            if (!scheduled.ProducesToken || output.Failures?.ContainsKey(id) == true)
            {
                continue;
            }

            if (!output.GeneratedTokens.TryGetValue(id, out int token))
            {
                return new ModelOutputException($"The executor returned no token for request {id}, which was due one.");
            }

            if (token < 0 || (vocabularySize > 0 && token >= vocabularySize))
            {
                return new ModelOutputException($"The executor returned token {token} for request {id}; token ids of this model go from 0 to {vocabularySize - 1}.");
            }

            tokens[i] = token;
        }

        return null;
    }

    /// <summary>Whether the logits of a request, where they were returned, are numbers as far as its token goes.</summary>
    public static bool HasFiniteLogit(BatchOutput output, RequestId id, int token) =>
        output.Logits is null || output.Logits.Count == 0 || !output.Logits.TryGetValue(id, out float[]? logits) || logits is null || token >= logits.Length || float.IsFinite(logits[token]);

    /// <summary>The log-probabilities that a request asked for: as the executor gives them, or from its logits.</summary>
    /// <exception cref="ModelOutputException">It gives neither, or logits that are not numbers.</exception>
    /// <exception cref="ArgumentOutOfRangeException">It gives fewer logits than there are tokens.</exception>
    public static TokenLogProbs LogProbsOf(BatchOutput output, RequestId id, int token, int top)
    {
        if (output.LogProbs is not null && output.LogProbs.TryGetValue(id, out TokenLogProbs? given) && given is not null)
        {
            return given;
        }

        return output.Logits is not null && output.Logits.TryGetValue(id, out float[]? logits)
            ? TokenLogProbs.FromLogits(logits, token, top)
            : throw new ModelOutputException($"Request {id} asked for log-probabilities, and the executor returned neither those nor logits; leave TopLogProbs null with this executor.");
    }
}
