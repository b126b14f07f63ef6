namespace MLFramework.Cpu;

/// <summary>What a matrix is for, as far as its type depends on it.</summary>
internal enum MatrixRole
{
    /// <summary>All others.</summary>
    Other,

    /// <summary>Token embeddings with an output matrix beside them.</summary>
    Embedding,

    /// <summary>The output matrix, or the embeddings that are it too.</summary>
    Output,

    /// <summary>Values of attention.</summary>
    AttentionValue,

    /// <summary>Queries, keys and values of attention in one.</summary>
    AttentionFused,

    /// <summary>Second matrix of a feed-forward layer.</summary>
    FeedForwardDown,
}

/// <summary>
/// Which matrix gets which type in the files that llama.cpp's <c>llama-quantize</c> makes: some matrices suffer more from few bits than others, and
/// super-blocks of 256 do not fit all rows.
/// </summary>
internal static class QuantizationMix
{
    /// <summary>
    /// The type of a matrix. Of quantized models the output has Q6_K (in Q8_0 models Q8_0); Q4_K and Q5_K stand for the mixes Q4_K_M and Q5_K_M, whose values
    /// and second feed-forward matrices have Q6_K in half of the layers, while queries, keys and values in one have the next larger type in all. Where rows are no whole super-blocks, Q4_K becomes Q5_0, Q5_K Q5_1 and
    /// Q6_K Q8_0.
    /// </summary>
    /// <param name="type">Type of the model.</param>
    /// <param name="role">What the matrix is for.</param>
    /// <param name="layer">Its layer.</param>
    /// <param name="layers">Layers of the model.</param>
    /// <param name="columns">Elements of a row.</param>
    public static TensorType Choose(TensorType type, MatrixRole role, int layer, int layers, int columns)
    {
        if (type.Layout().Length == 1) return type;
        TensorType chosen = role switch
        {
            MatrixRole.Output => type == TensorType.Q8_0 ? type : TensorType.Q6_K,
            MatrixRole.AttentionValue or MatrixRole.FeedForwardDown when type is TensorType.Q4_K or TensorType.Q5_K && NeedsMoreBits(layer, layers) => TensorType.Q6_K,
            MatrixRole.AttentionFused when type == TensorType.Q4_K => TensorType.Q5_K,
            MatrixRole.AttentionFused when type == TensorType.Q5_K => TensorType.Q6_K,
            _ => type,
        };
        return Fit(chosen, columns);
    }

    /// <summary>The type itself if its blocks fit the rows, else the one that llama.cpp takes in its place.</summary>
    public static TensorType Fit(TensorType type, int columns) => columns % type.Layout().Length == 0 ? type : type switch
    {
        TensorType.Q4_K => Fit(TensorType.Q5_0, columns),
        TensorType.Q5_K => Fit(TensorType.Q5_1, columns),
        TensorType.Q6_K => Fit(TensorType.Q8_0, columns),
        _ => TensorType.F16,
    };

    /// <summary>The first and last eighth of the layers, and every third between.</summary>
    private static bool NeedsMoreBits(int layer, int layers) => layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}
