using MLFramework.Cpu;
using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary>A position at which both engines, after the same tokens, take different ones for the likeliest.</summary>
/// <param name="Prompt">Which prompt.</param>
/// <param name="Position">Which token after it.</param>
/// <param name="Own">Our token.</param>
/// <param name="Peer">llama.cpp's.</param>
/// <param name="PeerGap">By how much llama.cpp's logit of its token is larger than that of ours.</param>
/// <param name="ExactGap">The same in double precision: negative where our token is the likelier one.</param>
internal sealed record GreedyDifference(int Prompt, int Position, int Own, int Peer, double PeerGap, double ExactGap)
{
    /// <summary>
    /// Whether the difference is llama.cpp's rounding, and not ours: it was undecided within the distance that its logits usually have from the exact ones,
    /// and double precision sides with us.
    /// </summary>
    public bool IsExplained => ExactGap < 0;
}

/// <summary>Both engines' greedy continuations of some prompts.</summary>
/// <param name="Tokens">Tokens compared, each after llama.cpp's own.</param>
/// <param name="PeerEqualsReference">Of these, how many llama.cpp chooses here as in a reference made on another day or machine; null without one.</param>
/// <param name="Differences">Where the engines differ.</param>
internal sealed record GreedyResult(int Tokens, int? PeerEqualsReference, IReadOnlyList<GreedyDifference> Differences)
{
    /// <summary>Lets llama.cpp continue the prompts and looks at each of its tokens whether ours would be the same.</summary>
    /// <param name="own">The model in our engine, keys and values in F16 as llama.cpp has them.</param>
    /// <param name="peer">The model in llama.cpp.</param>
    /// <param name="exact">The model in double precision.</param>
    /// <param name="prompts">The prompts.</param>
    /// <param name="references">For each the expected tokens; null for none.</param>
    /// <param name="count">Tokens after each prompt that has no reference.</param>
    public static GreedyResult Compare(ISequence own, ISequence peer, ReferenceModel exact, int[][] prompts, int[][]? references, int count)
    {
        var differences = new List<GreedyDifference>();
        int tokens = 0, equal = 0;
        for (int prompt = 0; prompt < prompts.Length; prompt++)
        {
            own.Reset();
            peer.Reset();
            var sequence = new List<int>(prompts[prompt]);
            int[] next = prompts[prompt];
            int length = references?[prompt].Length ?? count;
            for (int position = 0; position < length; position++, tokens++)
            {
                ReadOnlySpan<float> ownLogits = own.Append(next), peerLogits = peer.Append(next);
                int ownToken = Sampler.IndexOfMax(ownLogits), peerToken = Sampler.IndexOfMax(peerLogits);
                if (references?[prompt][position] == peerToken) equal++;
                if (ownToken != peerToken)
                {
                    double[] logits = exact.Logits([.. sequence]);
                    differences.Add(new GreedyDifference(prompt, position, ownToken, peerToken, peerLogits[peerToken] - peerLogits[ownToken], logits[peerToken] - logits[ownToken]));
                }
                // With a reference both follow it, so that one difference does not hide what comes after it.
                next = [references?[prompt][position] ?? peerToken];
                sequence.AddRange(next);
            }
        }
        return new GreedyResult(tokens, references is null ? null : equal, differences);
    }
}
