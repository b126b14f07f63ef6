namespace MLFramework.Cpu;

/// <summary>The weights of one layer.</summary>
/// <param name="AttentionNorm">[embedding].</param>
/// <param name="QueryKeyValue">Three matrices [heads × head, embedding], rotary pairs as halves.</param>
/// <param name="QueryKeyValueBias">As the product of <paramref name="QueryKeyValue"/>; null for none.</param>
/// <param name="AttentionOutput">[embedding, heads × head].</param>
/// <param name="FeedForwardNorm">[embedding].</param>
/// <param name="GateUp">Two matrices [feed-forward, embedding].</param>
/// <param name="Down">[embedding, feed-forward].</param>
/// <param name="Attention">What its queries see, and how.</param>
internal sealed record LayerWeights(
    NativeBuffer<float> AttentionNorm, MatrixGroup QueryKeyValue, NativeBuffer<float>? QueryKeyValueBias, MatrixGroup AttentionOutput,
    NativeBuffer<float> FeedForwardNorm, MatrixGroup GateUp, MatrixGroup Down, AttentionRule Attention) : IDisposable
{
    /// <summary>Reads a layer.</summary>
    /// <param name="reader">The file.</param>
    /// <param name="layer">Its number.</param>
    /// <param name="sizes">Sizes of the model.</param>
    /// <param name="architecture">The model's family.</param>
    /// <exception cref="GgufException">A tensor is missing or of another shape.</exception>
    public static LayerWeights Read(WeightReader reader, int layer, HyperParameters sizes, Architecture architecture)
    {
        string Name(string part) => $"blk.{layer}.{part}";
        int embedding = sizes.EmbeddingLength, queries = sizes.Heads * sizes.HeadLength, keys = sizes.KVHeads * sizes.HeadLength, inner = sizes.FeedForwardLength;
        Func<int, int>? order = architecture.InterleavesRotaryPairs ? row => InterleavedRow(row, sizes.HeadLength, sizes.RotaryLength) : null;
        var queryKeyValue = new MatrixGroup(
            reader.Matrix(Name("attn_q.weight"), queries, embedding, order), reader.Matrix(Name("attn_k.weight"), keys, embedding, order),
            reader.Matrix(Name("attn_v.weight"), keys, embedding));
        return new LayerWeights(
            reader.PaddedVector(Name("attn_norm.weight"), embedding), queryKeyValue,
            architecture.HasQkvBias ? ReadBias(reader, Name, queries, keys, queryKeyValue) : null,
            new MatrixGroup(reader.Matrix(Name("attn_output.weight"), embedding, queries)),
            reader.PaddedVector(Name("ffn_norm.weight"), embedding),
            new MatrixGroup(reader.Matrix(Name("ffn_gate.weight"), inner, embedding), reader.Matrix(Name("ffn_up.weight"), inner, embedding)),
            new MatrixGroup(reader.Matrix(Name("ffn_down.weight"), embedding, inner)),
            AttentionRule.Standard(sizes.HeadLength));
    }

    public void Dispose()
    {
        foreach (IDisposable? weights in (ReadOnlySpan<IDisposable?>)[AttentionNorm, QueryKeyValue, QueryKeyValueBias, AttentionOutput, FeedForwardNorm, GateUp, Down])
            weights?.Dispose();
    }

    /// <summary>
    /// The row of a file with interleaved pairs that stands where pairs are halves. Attention only sees products of queries with keys, which are the same
    /// in any order of their elements.
    /// </summary>
    private static int InterleavedRow(int row, int headLength, int rotaryLength)
    {
        int element = row % headLength, half = rotaryLength / 2;
        return row - element + (element < half ? 2 * element : element < rotaryLength ? 2 * (element - half) + 1 : element);
    }

    private static unsafe NativeBuffer<float> ReadBias(WeightReader reader, Func<string, string> name, int queries, int keys, MatrixGroup group)
    {
        var bias = new NativeBuffer<float>(group.OutputStride);
        (string Part, int Length)[] parts = [("attn_q.bias", queries), ("attn_k.bias", keys), ("attn_v.bias", keys)];
        for (int i = 0; i < parts.Length; i++)
            reader.Vector(name(parts[i].Part), parts[i].Length).CopyTo(new Span<float>(bias.Pointer + group.Offset(i), parts[i].Length));
        return bias;
    }
}
