namespace MLFramework.Cpu.Tests;

/// <summary>Every result has one order of reduction, whatever tile computes it, and another order would be noticed.</summary>
public sealed class AttentionReductionTests
{
    private static readonly int[] HeadLengths = [8, 16, 24, 40, 64, 80, 96, 128];

    /// <summary>Short chunks and spans, so that short sequences have many; and the grid of executors.</summary>
    private static readonly ReductionGrid[] Grids = [new(16, 32), new(32, 96), new(128, 128), ReductionGrid.Default];

    [Test]
    public void Results_are_the_same_bits_in_any_runs_by_spans_or_not_on_every_instruction_set([Range(1, 60)] int seed)
    {
        var random = new Random(seed);
        int groupSize = random.Next(1, 10), kvHeads = random.Next(1, 3), positions = random.Next(1, 200);
        var shape = new AttentionShape(1, groupSize * kvHeads, kvHeads, HeadLengths[random.Next(HeadLengths.Length)]);
        var rule = new AttentionRule(0.05f + random.NextSingle(), random.Next(3) == 0 ? 1 + 4 * random.NextSingle() : null, random.Next(2) == 0 ? random.Next(1, 2 * positions) : int.MaxValue);
        var type = (KVElementType)random.Next(3);
        ReductionGrid grid = Grids[random.Next(Grids.Length)];
        using var reference = new AttentionRig(KernelSet.Portable, shape, type, positions, seed, grid);
        float[][] alone = [.. Enumerable.Range(0, positions).Select(position => reference.Attend(rule, position, 1))];
        foreach (KernelSet kernels in KernelSet.Supported)
        {
            using var rig = new AttentionRig(kernels, shape, type, positions, seed, grid);
            for (int start = 0, count; start < positions; start += count)
            {
                count = random.Next(1, Math.Min(rig.RunLength, positions - start) + 1);
                bool bySpans = random.Next(2) == 0;
                float[] run = rig.Attend(rule, start, count, bySpans);
                for (int i = 0; i < count; i++)
                    Assert.That(
                        MatrixTests.Bits(run[(i * alone[0].Length)..((i + 1) * alone[0].Length)]), Is.EqualTo(MatrixTests.Bits(alone[start + i])),
                        $"{kernels}, {type}, {shape}, {rule}, {grid}, position {start + i} of {start} to {start + count - 1}, by spans: {bySpans}");
            }
        }
    }

    /// <summary>The check of the check: sums that are cut elsewhere are as good as the others, and have other bits.</summary>
    [Test]
    public void Another_order_of_reduction_gives_other_bits_and_hardly_other_results([Values] KVElementType type)
    {
        var shape = new AttentionShape(1, 3, 1, 64);
        float[] results = Results(ReductionGrid.Default);
        foreach (ReductionGrid grid in (ReductionGrid[])[new(64, 1024), new(128, 256), new(16, 1024)])
        {
            float[] others = Results(grid);
            Assert.That(others, Is.EqualTo(results).Within(1e-6), $"{grid}");
            Assert.That(MatrixTests.Bits(others), Is.Not.EqualTo(MatrixTests.Bits(results)), $"{grid}");
        }

        float[] Results(ReductionGrid grid)
        {
            using var rig = new AttentionRig(KernelSet.Best, shape, type, 600, seed: 5, grid);
            return rig.Attend(AttentionRule.Standard(64), 599, 1);
        }
    }
}
