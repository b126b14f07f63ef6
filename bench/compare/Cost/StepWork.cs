using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>What a step has to do at least, by the model's shapes: the same for any engine.</summary>
/// <param name="Operations">Multiplications and additions.</param>
/// <param name="Bytes">Read from memory: every packed weight once, and the keys and values of every sequence.</param>
internal readonly record struct StepWork(double Operations, double Bytes)
{
    /// <summary>One token of each of some sequences.</summary>
    /// <param name="sizes">The model's sizes.</param>
    /// <param name="weightBytes">Bytes of its packed weights.</param>
    /// <param name="kvBytesPerToken">Bytes of keys and values of a token.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="context">Positions that each sees, its own included.</param>
    public static StepWork Decode(HyperParameters sizes, long weightBytes, long kvBytesPerToken, int batch, int context) =>
        new(batch * (LayerOperations(sizes) + AttentionOperations(sizes) * context + OutputOperations(sizes)), weightBytes + (double)batch * context * kvBytesPerToken);

    /// <summary>A prompt from its first token, with the logits of its last.</summary>
    /// <inheritdoc cref="Decode" path="/param"/>
    /// <param name="length">Tokens.</param>
    public static StepWork Prefill(HyperParameters sizes, long weightBytes, long kvBytesPerToken, int length) =>
        new(length * (LayerOperations(sizes) + AttentionOperations(sizes) * (length + 1) / 2.0) + OutputOperations(sizes), weightBytes + (double)length * kvBytesPerToken);

    /// <summary>Matrix products of all layers for one token.</summary>
    private static double LayerOperations(HyperParameters sizes)
    {
        double queries = (double)sizes.Heads * sizes.HeadLength, keys = (double)sizes.KVHeads * sizes.HeadLength;
        double attention = sizes.EmbeddingLength * (2 * queries + 2 * keys), feedForward = 3.0 * sizes.EmbeddingLength * sizes.FeedForwardLength;
        return 2 * sizes.Layers * (attention + feedForward);
    }

    private static double OutputOperations(HyperParameters sizes) => 2.0 * sizes.VocabularySize * sizes.EmbeddingLength;

    /// <summary>Scores and weighted values for one token and one position that it sees.</summary>
    private static double AttentionOperations(HyperParameters sizes) => 4.0 * sizes.Layers * sizes.Heads * sizes.HeadLength;
}
