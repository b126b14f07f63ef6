namespace MLFramework.Cpu.Tests;

/// <summary>Attention over scattered blocks against plain loops in double precision.</summary>
public sealed unsafe class PagedAttentionTests
{
    [Test]
    public void Results_are_those_of_softmax_in_double_precision(
        [Values(1, 15, 16, 17, 100)] int positions, [Values(1, 2, 3, 7)] int groupSize, [Values(8, 40)] int headLength, [Values] KVElementType type)
    {
        var shape = new AttentionShape(Layers: 2, QueryHeads: 2 * groupSize, KVHeads: 2, headLength);
        float[] keys = MatrixTests.Normal(positions * 2 * headLength, 1), values = MatrixTests.Normal(keys.Length, 2), queries = MatrixTests.Normal(2 * groupSize * headLength, 3);
        float[]? first = null;
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            float[] output = Attend(kernels, shape, type, positions, keys, values, queries);
            for (int head = 0; head < 2 * groupSize; head++)
            {
                double[] expected = Expected(shape, positions, keys, values, queries, head);
                // A half has 11 bits: its relative error is at most 2^-11.
                Assert.That(output.AsSpan(head * headLength, headLength).ToArray(), Is.EqualTo(expected).Within(type == KVElementType.F32 ? 2e-6 : 4e-3), $"{kernels}, head {head}");
            }
            first ??= output;
            Assert.That(MatrixTests.Bits(output), Is.EqualTo(MatrixTests.Bits(first)), $"{kernels}");
        }
    }

    [Test]
    public void What_is_too_large_for_a_half_becomes_the_largest()
    {
        var shape = new AttentionShape(1, 1, 1, 8);
        float[] output = Attend(KernelSet.Best, shape, KVElementType.F16, 1, new float[8], [1e6f, -1e6f, 65504, 1, 0, 1e-7f, -0.5f, 3], new float[8]);
        Assert.That(output, Is.EqualTo(new[] { 65504, -65504, 65504, 1, 0, 1e-7f, -0.5f, 3 }).Within(3e-8));
    }

    [Test]
    public void A_copied_block_holds_the_same_in_all_layers()
    {
        var shape = new AttentionShape(3, 1, 1, 8);
        using PagedAttention attention = KernelSet.Best.CreateAttention(shape, KVElementType.F32, 4);
        using var data = new NativeBuffer<float>(64 + attention.ScratchLength(16));
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
            attention.Attend(layer, 0, key, &block, 1, result, data.Pointer + 64);
            Assert.That(new Span<float>(result, 8).ToArray(), Is.EqualTo(Enumerable.Range(0, 8).Select(i => layer * 10 + i)));
        }
    }

    private static float[] Attend(KernelSet kernels, AttentionShape shape, KVElementType type, int positions, float[] keys, float[] values, float[] queries)
    {
        int blockCount = (positions + 15) / 16, width = shape.KVHeads * shape.HeadLength, group = shape.GroupSize * shape.HeadLength;
        int[] blocks = [.. Enumerable.Range(0, blockCount).Select(i => 2 * (blockCount - i))];
        using PagedAttention attention = kernels.CreateAttention(shape, type, 2 * blockCount + 1);
        using var scratch = new NativeBuffer<float>(attention.ScratchLength(positions));
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
            for (int head = 0; head < shape.KVHeads; head++) attention.Attend(layer, head, query + head * group, table, positions, result + head * group, scratch.Pointer);
        }
        return output;
    }

    private static double[] Expected(AttentionShape shape, int positions, float[] keys, float[] values, float[] queries, int head)
    {
        int length = shape.HeadLength, width = shape.KVHeads * length, kvOffset = head / shape.GroupSize * length;
        double[] scores = [.. Enumerable.Range(0, positions).Select(p => Enumerable.Range(0, length).Sum(i => (double)queries[head * length + i] * keys[p * width + kvOffset + i]) / Math.Sqrt(length))];
        double[] weights = [.. scores.Select(score => Math.Exp(score - scores.Max()))];
        return [.. Enumerable.Range(0, length).Select(i => Enumerable.Range(0, positions).Sum(p => weights[p] * values[p * width + kvOffset + i]) / weights.Sum())];
    }
}
