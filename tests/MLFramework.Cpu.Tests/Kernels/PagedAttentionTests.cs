namespace MLFramework.Cpu.Tests;

/// <summary>Attention over scattered blocks against plain loops in double precision.</summary>
public sealed unsafe class PagedAttentionTests
{
    /// <summary>Windows, caps and scales of real models and beyond; a window of one sees itself alone.</summary>
    private static readonly AttentionRule[] Rules =
        [new(0.3f), new(0.25f, SoftCap: 0.7f), new(1 / 16f, Window: 1), new(0.3f, Window: 16), new(0.3f, SoftCap: 5, Window: 37)];

    [Test]
    public void Results_are_those_of_softmax_in_double_precision(
        [Values(1, 15, 16, 17, 100)] int positions, [Values(1, 2, 3, 7)] int groupSize, [Values(8, 40, 64)] int headLength, [Values] KVElementType type) =>
        AssertNear(new AttentionShape(Layers: 2, QueryHeads: 2 * groupSize, KVHeads: 2, headLength), AttentionRule.Standard(headLength), positions, type);

    [Test]
    public void Windows_caps_and_scales_are_those_of_the_rule(
        [Range(0, 4)] int rule, [Values(1, 16, 17, 40, 100)] int positions, [Values] KVElementType type) =>
        AssertNear(new AttentionShape(Layers: 1, QueryHeads: 3, KVHeads: 1, HeadLength: 24), Rules[rule], positions, type);

    [TestCase(96)]
    [TestCase(128)]
    [TestCase(256)]
    public void Heads_may_be_long(int headLength) => AssertNear(new AttentionShape(1, 4, 2, headLength), AttentionRule.Standard(headLength), 50, KVElementType.F32);

    [Test]
    public void What_is_too_large_for_a_half_becomes_the_largest()
    {
        var shape = new AttentionShape(1, 1, 1, 8);
        float[] output = Attend(KernelSet.Best, shape, AttentionRule.Standard(8), KVElementType.F16, 1, new float[8], [1e6f, -1e6f, 65504, 1, 0, 1e-7f, -0.5f, 3], new float[8]);
        Assert.That(output, Is.EqualTo(new[] { 65504, -65504, 65504, 1, 0, 1e-7f, -0.5f, 3 }).Within(3e-8));
    }

    [Test]
    public void A_copied_block_holds_the_same_in_all_layers()
    {
        var shape = new AttentionShape(3, 1, 1, 8);
        using PagedAttention attention = KernelSet.Best.CreateAttention(shape, KVElementType.F32, 4);
        using var data = new NativeBuffer<float>(64 + attention.ScratchLength);
        float* key = data.Pointer, result = data.Pointer + 32;
        for (int layer = 0; layer < 3; layer++)
        {
            for (int i = 0; i < 8; i++) key[8 + i] = layer * 10 + i;
            attention.Store(layer, 1, 0, key, key + 8);
        }

        attention.CopyBlock(1, 3);

        int block = 3;
        for (int layer = 0; layer < 3; layer++)
        {
            attention.Attend(layer, 0, AttentionRule.Standard(8), Run(key, 8, 0, 1, &block, result), data.Pointer + 64);
            Assert.That(new Span<float>(result, 8).ToArray(), Is.EqualTo(Enumerable.Range(0, 8).Select(i => layer * 10 + i)));
        }
    }

    private static void AssertNear(AttentionShape shape, AttentionRule rule, int positions, KVElementType type)
    {
        int length = shape.HeadLength;
        float[] keys = MatrixTests.Normal(positions * shape.KVHeads * length, 1), values = MatrixTests.Normal(keys.Length, 2);
        float[] queries = MatrixTests.Normal(positions * shape.QueryHeads * length, 3);
        float[]? first = null;
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            float[] output = Attend(kernels, shape, rule, type, positions, keys, values, queries);
            for (int position = 0; position < positions; position += Math.Max(1, Math.Min(7, positions - 1 - position)))
                for (int head = 0; head < shape.QueryHeads; head++)
                {
                    int from = (position * shape.QueryHeads + head) * length;
                    double[] expected = Expected(shape, rule, position, keys, values, queries.AsSpan(from, length), head);
                    Assert.That(output.AsSpan(from, length).ToArray(), Is.EqualTo(expected).Within(Tolerance(type)), $"{kernels}, position {position}, head {head}");
                }
            first ??= output;
            Assert.That(MatrixTests.Bits(output), Is.EqualTo(MatrixTests.Bits(first)), $"{kernels}");
        }
    }

    /// <summary>Results of all positions, in a cache whose blocks lie in no order.</summary>
    private static float[] Attend(KernelSet kernels, AttentionShape shape, AttentionRule rule, KVElementType type, int positions, float[] keys, float[] values, float[] queries)
    {
        int blockCount = (positions + 15) / 16, width = shape.KVHeads * shape.HeadLength, group = shape.GroupSize * shape.HeadLength, stride = shape.QueryHeads * shape.HeadLength;
        int[] blocks = [.. Enumerable.Range(0, blockCount).Select(i => 2 * (blockCount - i))];
        using PagedAttention attention = kernels.CreateAttention(shape, type, 2 * blockCount + 1);
        using var scratch = new NativeBuffer<float>(attention.ScratchLength);
        var output = new float[queries.Length];
        int layer = shape.Layers - 1;
        fixed (float* key = keys, value = values, query = queries, result = output)
        fixed (int* table = blocks)
        {
            // Blocks are reused: what a former sequence left after the last position must not matter.
            float[] stale = [.. Enumerable.Repeat(float.NaN, width)];
            fixed (float* left = stale)
                for (int offset = 0; offset < 16; offset++) attention.Store(layer, blocks[^1], offset, left, left);
            for (int i = 0; i < positions; i++) attention.Store(layer, blocks[i / 16], i % 16, key + i * width, value + i * width);
            for (int head = 0; head < shape.KVHeads; head++)
                for (int start = 0; start < positions; start += attention.RunLength)
                    attention.Attend(
                        layer, head, rule, Run(query + start * stride + head * group, stride, start, Math.Min(attention.RunLength, positions - start), table, result + start * stride + head * group), scratch.Pointer);
            // Blocks before the window are not read: the scheduler may have given them to somebody else.
            int unseen = rule.FirstSeen(positions - 1) / 16, last = positions - 1;
            for (int i = 0; i < unseen; i++) table[i] = int.MaxValue;
            float[] again = new float[group];
            fixed (float* r = again) attention.Attend(layer, 0, rule, Run(query + last * stride, stride, last, 1, table, r), scratch.Pointer);
            Assert.That(MatrixTests.Bits(again), Is.EqualTo(MatrixTests.Bits(output[(last * stride)..(last * stride + group)])));
        }
        return output;
    }

    /// <summary>Floats are rounded at every step. A half has 11 bits: its relative error is at most 2^-11. A byte is off by 1/254 of the largest of its group.</summary>
    private static double Tolerance(KVElementType type) => type switch { KVElementType.F32 => 2e-6, KVElementType.F16 => 4e-3, _ => 0.04 };

    private static QueryRun Run(float* queries, long stride, int position, int count, int* blocks, float* output) =>
        new() { Queries = queries, QueryStride = stride, Position = position, Count = count, Blocks = blocks, Output = output, OutputStride = stride };

    private static double[] Expected(AttentionShape shape, AttentionRule rule, int position, float[] keys, float[] values, ReadOnlySpan<float> query, int head)
    {
        int length = shape.HeadLength, width = shape.KVHeads * length, kvOffset = head / shape.GroupSize * length, first = rule.FirstSeen(position);
        var scores = new double[position + 1 - first];
        for (int i = 0; i < scores.Length; i++)
        {
            for (int e = 0; e < length; e++) scores[i] += rule.Scale * (double)query[e] * keys[(first + i) * width + kvOffset + e];
            if (rule.SoftCap is { } cap) scores[i] = cap * Math.Tanh(scores[i] / cap);
        }
        double[] weights = [.. scores.Select(score => Math.Exp(score - scores.Max()))];
        return [.. Enumerable.Range(0, length).Select(e => weights.Select((weight, i) => weight * values[(first + i) * width + kvOffset + e]).Sum() / weights.Sum())];
    }
}
