namespace MLFramework.Simulation;

/// <summary>Makes token ids that have what a trace tells of its prompts: their lengths, and which of them begin alike.</summary>
/// <param name="seed">The same seed gives the same tokens.</param>
internal sealed class PromptSynthesizer(ulong seed)
{
    /// <summary>The tokens of an arrival's prompt: the token at an offset of a segment depends on the seed, the segment's id and the offset only.</summary>
    public int[] Synthesize(Arrival arrival)
    {
        int[] tokens = new int[arrival.PromptTokens];
        int position = 0;
        foreach (PromptSegment segment in arrival.Prompt)
        {
            ulong key = CounterHash.Derive(seed, (ulong)segment.Id);
            for (int offset = 0; offset < segment.Length; offset++)
            {
                tokens[position++] = SimulatedTokenizer.OrdinaryToken(CounterHash.At(key, (ulong)offset));
            }
        }

        return tokens;
    }
}
