namespace MLFramework.Cpu;

/// <summary>The weights of one layer.</summary>
/// <param name="AttentionNorm">[embedding].</param>
/// <param name="QueryKeyValue">Three matrices [heads × head, embedding], rotary pairs as halves.</param>
/// <param name="QueryKeyValueBias">As the product of <paramref name="QueryKeyValue"/>; null for none.</param>
/// <param name="QueryNorm">[head]; null for none.</param>
/// <param name="KeyNorm">As <paramref name="QueryNorm"/>.</param>
/// <param name="AttentionOutput">[embedding, heads × head].</param>
/// <param name="AttentionPostNorm">[embedding]; null for none.</param>
/// <param name="FeedForwardNorm">[embedding].</param>
/// <param name="GateUp">Two matrices [feed-forward, embedding].</param>
/// <param name="Down">[embedding, feed-forward].</param>
/// <param name="FeedForwardPostNorm">[embedding]; null for none.</param>
/// <param name="Attention">What its queries see, and how.</param>
internal sealed record LayerWeights(
    NativeBuffer<float> AttentionNorm, MatrixGroup QueryKeyValue, NativeBuffer<float>? QueryKeyValueBias, NativeBuffer<float>? QueryNorm, NativeBuffer<float>? KeyNorm,
    MatrixGroup AttentionOutput, NativeBuffer<float>? AttentionPostNorm,
    NativeBuffer<float> FeedForwardNorm, MatrixGroup GateUp, MatrixGroup Down, NativeBuffer<float>? FeedForwardPostNorm, AttentionRule Attention) : IDisposable
{
    /// <summary>All matrices.</summary>
    public IEnumerable<MatrixGroup> Groups => [QueryKeyValue, AttentionOutput, GateUp, Down];

    /// <summary>Names the kernels that it is computed with: equal for layers of equally stored weights.</summary>
    public string Kind => string.Join('|', Groups.Select(group => group.Kind));

    /// <summary>Reads a layer.</summary>
    /// <param name="reader">The file.</param>
    /// <param name="layer">Its number.</param>
    /// <param name="sizes">Sizes of the model.</param>
    /// <param name="architecture">The model's family.</param>
    /// <exception cref="GgufException">A tensor is missing or of another shape.</exception>
    public static LayerWeights Read(WeightReader reader, int layer, HyperParameters sizes, Architecture architecture)
    {
        string Name(string part) => $"blk.{layer}.{part}";
        int embedding = sizes.EmbeddingLength, inner = sizes.FeedForwardLength;
        Func<int, int>? order = architecture.InterleavesRotaryPairs ? row => InterleavedRow(row, sizes.HeadLength, sizes.RotaryLength) : null;
        MatrixGroup queryKeyValue = ReadQueryKeyValue(reader, Name, sizes, order);
        return new LayerWeights(
            reader.PaddedVector(Name("attn_norm.weight"), embedding), queryKeyValue,
            ReadBias(reader, Name, sizes, architecture, queryKeyValue, order),
            architecture.HasQueryKeyNorm ? reader.PaddedVector(Name("attn_q_norm.weight"), sizes.HeadLength) : null,
            architecture.HasQueryKeyNorm ? reader.PaddedVector(Name("attn_k_norm.weight"), sizes.HeadLength) : null,
            new MatrixGroup(reader.Matrix(Name("attn_output.weight"), embedding, sizes.Heads * sizes.HeadLength)),
            architecture.HasPostNorms ? reader.PaddedVector(Name("post_attention_norm.weight"), embedding) : null,
            reader.PaddedVector(Name("ffn_norm.weight"), embedding),
            architecture.HasFusedGateUp
                ? new MatrixGroup(
                    reader.Matrix(Name("ffn_up.weight"), inner, embedding, part: new TensorPart(0, 2 * inner)),
                    reader.Matrix(Name("ffn_up.weight"), inner, embedding, part: new TensorPart(inner, 2 * inner)))
                : new MatrixGroup(reader.Matrix(Name("ffn_gate.weight"), inner, embedding), reader.Matrix(Name("ffn_up.weight"), inner, embedding)),
            new MatrixGroup(reader.Matrix(Name("ffn_down.weight"), embedding, inner)),
            architecture.HasPostNorms ? reader.PaddedVector(Name("post_ffw_norm.weight"), embedding) : null,
            new AttentionRule(sizes.AttentionScale, sizes.AttentionSoftCap, sizes.Window(layer) ?? int.MaxValue));
    }

    public void Dispose()
    {
        foreach (IDisposable? weights in (ReadOnlySpan<IDisposable?>)[
            AttentionNorm, QueryKeyValue, QueryKeyValueBias, QueryNorm, KeyNorm, AttentionOutput, AttentionPostNorm, FeedForwardNorm, GateUp, Down, FeedForwardPostNorm])
            weights?.Dispose();
    }

    /// <summary>Three tensors, or one with the rows of queries, keys and values below each other.</summary>
    private static MatrixGroup ReadQueryKeyValue(WeightReader reader, Func<string, string> name, HyperParameters sizes, Func<int, int>? order)
    {
        int embedding = sizes.EmbeddingLength, queries = sizes.Heads * sizes.HeadLength, keys = sizes.KVHeads * sizes.HeadLength, rows = queries + 2 * keys;
        string fused = name("attn_qkv.weight");
        return reader.Contains(fused)
            ? new MatrixGroup(
                reader.Matrix(fused, queries, embedding, order, new TensorPart(0, rows)), reader.Matrix(fused, keys, embedding, order, new TensorPart(queries, rows)),
                reader.Matrix(fused, keys, embedding, part: new TensorPart(queries + keys, rows)))
            : new MatrixGroup(
                reader.Matrix(name("attn_q.weight"), queries, embedding, order), reader.Matrix(name("attn_k.weight"), keys, embedding, order),
                reader.Matrix(name("attn_v.weight"), keys, embedding));
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

    /// <summary>Biases in as many tensors as the weights, where there are any.</summary>
    private static unsafe NativeBuffer<float>? ReadBias(
        WeightReader reader, Func<string, string> name, HyperParameters sizes, Architecture architecture, MatrixGroup group, Func<int, int>? order)
    {
        bool isFused = reader.Contains(name("attn_qkv.weight"));
        if (!architecture.NeedsQkvBias && !reader.Contains(name(isFused ? "attn_qkv.bias" : "attn_q.bias"))) return null;
        int queries = sizes.Heads * sizes.HeadLength, keys = sizes.KVHeads * sizes.HeadLength;
        float[] all = isFused ? reader.Vector(name("attn_qkv.bias"), queries + 2 * keys)
            : [.. reader.Vector(name("attn_q.bias"), queries), .. reader.Vector(name("attn_k.bias"), keys), .. reader.Vector(name("attn_v.bias"), keys)];
        NativeBuffer<float> bias = reader.Buffer(group.OutputStride);
        Copy(0, all.AsSpan(0, queries), order);
        Copy(1, all.AsSpan(queries, keys), order);
        Copy(2, all.AsSpan(queries + keys), null);
        return bias;

        void Copy(int part, ReadOnlySpan<float> values, Func<int, int>? partOrder)
        {
            for (int row = 0; row < values.Length; row++) bias.Pointer[group.Offset(part) + row] = values[partOrder?.Invoke(row) ?? row];
        }
    }
}
