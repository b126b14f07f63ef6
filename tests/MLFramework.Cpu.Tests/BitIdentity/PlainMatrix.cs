namespace MLFramework.Cpu.Tests;

/// <summary>In which order a <see cref="PlainMatrix"/> adds up a product.</summary>
public enum ReductionOrder
{
    /// <summary>First column to last.</summary>
    Fixed,

    /// <summary>First column to last; with more than four activations at once, each half for itself ("split-K").</summary>
    SplitInCrowds,

    /// <summary>First column to last for the first activation; last to first for those behind it.</summary>
    BackwardsBehindOthers,
}

/// <summary>A matrix of a file as floats, multiplied one product after the other.</summary>
internal sealed unsafe class PlainMatrix : PackedMatrix
{
    private const int Crowd = 4;

    private readonly float[][] _rows;
    private readonly ReductionOrder _order;

    public PlainMatrix(GgufFile file, string name, ReductionOrder order)
        : this(file, file.GetTensor(name), order)
    {
    }

    private PlainMatrix(GgufFile file, GgufTensor tensor, ReductionOrder order)
        : base((int)tensor.RowCount, (int)tensor.RowLength, panelBytes: 0)
    {
        using var nothing = new NativeBuffer<byte>(0);
        Take(new MemorySlice(nothing, 0)); // Panels have addresses.
        _order = order;
        _rows = [.. Enumerable.Range(0, Rows).Select(row =>
        {
            var weights = new float[Columns];
            file.Dequantize(tensor, row, weights);
            return weights;
        })];
    }

    public override ActivationFormat Format => ActivationFormat.Single;

    protected override int Steps => Columns;

    protected override int MostTokens => 6;

    public override void ReadRow(int row, Span<float> weights) => _rows[row].CopyTo(weights);

    protected override void MultiplyTiles(int panel, in ActivationRows input, TileRun run, float* output, int outputStride, in PanelWalk walk, short* scratch)
    {
        for (int i = 0; i < run.Count * run.Tokens; i++)
        {
            var x = new ReadOnlySpan<float>(input.Values + (long)(run.First + i) * input.Stride, Columns);
            for (int row = panel * PanelRows; row < Math.Min(Rows, (panel + 1) * PanelRows); row++)
                output[(long)(run.First + i) * outputStride + row % PanelRows] = Product(_rows[row], x, isCrowded: run.Tokens > Crowd, isFirst: i % run.Tokens == 0);
        }
    }

    private float Product(ReadOnlySpan<float> weights, ReadOnlySpan<float> x, bool isCrowded, bool isFirst)
    {
        int half = Columns / 2;
        if (_order == ReductionOrder.SplitInCrowds && isCrowded) return Sum(weights[..half], x[..half]) + Sum(weights[half..], x[half..]);
        if (_order == ReductionOrder.BackwardsBehindOthers && !isFirst) return BackwardsSum(weights, x);
        return Sum(weights, x);
    }

    private static float Sum(ReadOnlySpan<float> weights, ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = 0; i < x.Length; i++) sum += weights[i] * x[i];
        return sum;
    }

    private static float BackwardsSum(ReadOnlySpan<float> weights, ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = x.Length - 1; i >= 0; i--) sum += weights[i] * x[i];
        return sum;
    }
}
