namespace MLFramework.Cpu.Tests;

/// <summary>Attention over scattered blocks against plain loops in double precision.</summary>
public sealed unsafe class PagedAttentionTests
{
    /// <summary>Windows, caps and scales of real models and beyond; a window of one sees itself alone.</summary>
    private static readonly AttentionRule[] Rules =
        [new(0.3f), new(0.25f, SoftCap: 0.7f), new(1 / 16f, Window: 1), new(0.3f, Window: 16), new(0.3f, SoftCap: 5, Window: 37), new(0.5f, Window: 150)];

    [Test]
    public void Results_are_those_of_softmax_in_double_precision(
        [Values(1, 15, 16, 17, 100, 260)] int positions, [Values(1, 2, 3, 7, 26)] int groupSize, [Values(8, 40, 64)] int headLength, [Values] KVElementType type) =>
        AssertNear(new AttentionShape(Layers: 2, QueryHeads: 2 * groupSize, KVHeads: 2, headLength), AttentionRule.Standard(headLength), positions, type);

    [Test]
    public void Windows_caps_and_scales_are_those_of_the_rule([Range(0, 5)] int rule, [Values(1, 16, 17, 40, 300)] int positions, [Values] KVElementType type) =>
        AssertNear(new AttentionShape(Layers: 1, QueryHeads: 3, KVHeads: 1, HeadLength: 24), Rules[rule], positions, type);

    [Test]
    public void Heads_may_be_long([Values(80, 96, 128, 256)] int headLength, [Values] KVElementType type) =>
        AssertNear(new AttentionShape(1, 4, 2, headLength), AttentionRule.Standard(headLength), 50, type);

    [Test]
    public void Contexts_may_be_longer_than_a_span([Values] KVElementType type)
    {
        using var rig = new AttentionRig(KernelSet.Best, new AttentionShape(1, 3, 1, 16), type, 2100, seed: 4);
        foreach (int position in (int[])[1022, 1023, 1024, 2047, 2048, 2099])
            Assert.That(rig.Attend(new AttentionRule(0.5f), position, 1)[..16], Is.EqualTo(rig.Expected(new AttentionRule(0.5f), position, 0)).Within(Tolerance(type)), $"{position}");
    }

    /// <summary>Queries that make one score tower above all others, first or last: the weights of the rest vanish and nothing else.</summary>
    [Test]
    public void Scores_may_lie_far_apart([Values] KVElementType type, [Values(1e3f, 1e4f)] float scale)
    {
        using var rig = new AttentionRig(KernelSet.Best, new AttentionShape(1, 3, 1, 16), type, 300, seed: 9);
        float[] output = rig.Attend(new AttentionRule(scale), 292, 8);
        double[] magnitudes = [.. Enumerable.Range(0, 8).Select(i => output.AsSpan(i * 48, 48).ToArray().Max(Math.Abs))];
        Assert.That(magnitudes, Is.All.InRange(0.1, 5));
        if (type == KVElementType.F32) Assert.That(output[..16], Is.EqualTo(rig.Expected(new AttentionRule(scale), 292, 0)).Within(2e-3));
    }

    [Test]
    public void What_is_no_number_stays_none([Values(KVElementType.F32, KVElementType.Q8_0)] KVElementType type, [Values(float.NaN, float.PositiveInfinity)] float bad)
    {
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            float[] output = AttendToOne(kernels, type, [1, 1, 1, 1, 1, 1, 1, bad], [1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]);
            Assert.That(output, Is.All.NaN, $"{kernels}");
        }
    }

    [Test]
    public void What_is_too_large_for_a_half_becomes_the_largest()
    {
        float[] output = AttendToOne(KernelSet.Best, KVElementType.F16, new float[8], [1e6f, -1e6f, 65504, 1, 0, 1e-7f, -0.5f, 3], new float[8]);
        Assert.That(output, Is.EqualTo(new[] { 65504, -65504, 65504, 1, 0, 1e-7f, -0.5f, 3 }).Within(3e-8));
    }

    [TestCase(0f)]
    [TestCase(1e-40f)]
    [TestCase(1f)]
    [TestCase(1e30f)]
    public void Bytes_are_off_by_half_a_step_of_the_largest(float size)
    {
        float[] value = [.. MatrixTests.Normal(7, 6).Select(v => Math.Clamp(v, -1, 1) * size), size];
        float[] output = AttendToOne(KernelSet.Best, KVElementType.Q8_0, new float[8], value, new float[8]);
        Assert.That(output, Is.EqualTo(value).Within(Math.Max(size / 253.9, 1e-37)));
    }

    [Test]
    public void A_copied_block_holds_the_same_in_all_layers([Values] KVElementType type)
    {
        var shape = new AttentionShape(3, 1, 1, 8);
        using PagedAttention attention = KernelSet.Best.CreateAttention(shape, type, 4);
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
            attention.Attend(layer, 0, AttentionRule.Standard(8), Run(key, &block, result), data.Pointer + 64);
            Assert.That(new Span<float>(result, 8).ToArray(), Is.EqualTo(Enumerable.Range(0, 8).Select(i => layer * 10 + i)).Within(type == KVElementType.Q8_0 ? 0.11 : 0));
        }
    }

    /// <summary>A scale per 32 elements makes a byte's 8 bits 9; heads are padded to 16 elements.</summary>
    [TestCase(KVElementType.F32, 64, 512)]
    [TestCase(KVElementType.F16, 64, 256)]
    [TestCase(KVElementType.Q8_0, 64, 144)]
    [TestCase(KVElementType.F16, 40, 192)]
    [TestCase(KVElementType.Q8_0, 80, 184)]
    public void Memory_per_token_is_that_of_the_type(KVElementType type, int headLength, long bytesPerHead) =>
        Assert.That(PagedAttention.BytesPerToken(new AttentionShape(30, 9, 3, headLength), type), Is.EqualTo(30 * 3 * bytesPerHead));

    [Test]
    public void A_type_that_does_not_exist_is_refused()
    {
        Assert.That(() => PagedAttention.BytesPerToken(new AttentionShape(1, 1, 1, 8), (KVElementType)9), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => KernelSet.Best.CreateAttention(new AttentionShape(1, 1, 1, 8), (KVElementType)9, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private static void AssertNear(AttentionShape shape, AttentionRule rule, int positions, KVElementType type)
    {
        float[]? first = null;
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using var rig = new AttentionRig(kernels, shape, type, positions, seed: 1);
            float[] output = rig.AttendAll(rule);
            first ??= output;
            Assert.That(MatrixTests.Bits(output), Is.EqualTo(MatrixTests.Bits(first)), $"{kernels}");
            if (first != output) continue;
            for (int position = 0; position < positions; position += Math.Max(1, Math.Min(37, positions - 1 - position)))
                for (int head = 0; head < shape.QueryHeads; head += shape.QueryHeads > 14 ? 17 : 1)
                    Assert.That(
                        output.AsSpan((position * shape.QueryHeads + head) * shape.HeadLength, shape.HeadLength).ToArray(),
                        Is.EqualTo(rig.Expected(rule, position, head)).Within(Tolerance(type)), $"position {position}, head {head}");
        }
    }

    /// <summary>Floats are rounded at every step. A half has 11 bits: its relative error is at most 2^-11. A byte is off by 1/254 of the largest of its group.</summary>
    private static double Tolerance(KVElementType type) => type switch { KVElementType.F32 => 5e-6, KVElementType.F16 => 4e-3, _ => 0.04 };

    private static float[] AttendToOne(KernelSet kernels, KVElementType type, float[] key, float[] value, float[] query)
    {
        using PagedAttention attention = kernels.CreateAttention(new AttentionShape(1, 1, 1, 8), type, 1);
        using var scratch = new NativeBuffer<float>(attention.ScratchLength);
        var output = new float[8];
        int block = 0;
        fixed (float* k = key, v = value, q = query, o = output)
        {
            attention.Store(0, 0, 0, k, v);
            attention.Attend(0, 0, AttentionRule.Standard(8), Run(q, &block, o), scratch.Pointer);
        }
        return output;
    }

    private static QueryRun Run(float* queries, int* blocks, float* output) =>
        new() { Queries = queries, QueryStride = 8, Position = 0, Count = 1, Blocks = blocks, Output = output, OutputStride = 8 };
}
