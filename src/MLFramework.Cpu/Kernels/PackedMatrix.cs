namespace MLFramework.Cpu;

/// <summary>What a kernel wants to multiply its weights with.</summary>
internal enum ActivationFormat
{
    /// <summary>The floats themselves.</summary>
    Single,

    /// <summary>16-bit integers with one scale per 32.</summary>
    Int16,

    /// <summary>8-bit integers with one scale per 16.</summary>
    Int8,
}

/// <summary>Rows of activations, each padded to whole blocks of 32.</summary>
internal readonly unsafe struct ActivationRows(float* values, short* codes, float* scales, ActivationBlock* blocks, int count, int stride)
{
    /// <summary>Floats, a row every <see cref="Stride"/>.</summary>
    public float* Values { get; } = values;

    /// <summary>Integers, if a matrix wants them; same stride.</summary>
    public short* Codes { get; } = codes;

    /// <summary>A scale per block of <see cref="Codes"/>; the stride is a 32nd.</summary>
    public float* Scales { get; } = scales;

    /// <summary>8-bit integers, if a matrix wants them; the stride is a 32nd.</summary>
    public ActivationBlock* Blocks { get; } = blocks;

    /// <summary>Number of rows.</summary>
    public int Count { get; } = count;

    /// <summary>Elements from row to row.</summary>
    public int Stride { get; } = stride;
}

/// <summary>
/// A weight matrix [rows, columns] in the order in which a kernel reads it: panels of 32 rows, each one sequential stream over the columns, a row per
/// lane of a vector. Every product of a row with an activation is summed in one fixed order, whatever else is computed with it.
/// </summary>
internal abstract unsafe class PackedMatrix : IPackable
{
    /// <summary>Rows of a panel.</summary>
    public const int PanelRows = Padding.Unit;

    /// <summary>Most activations of a tile of any kernel.</summary>
    public const int LargestTile = 8;

    private MemorySlice? _memory;
    private Action<int>? _packPanel;

    protected PackedMatrix(int rows, int columns, long panelBytes) => (Rows, Columns, PanelBytes) = (rows, columns, panelBytes);

    /// <summary>Rows: elements of a product.</summary>
    public int Rows { get; }

    /// <summary>Columns: elements of an activation.</summary>
    public int Columns { get; }

    /// <summary>Panels, of which the last may be padded with zeros.</summary>
    public int PanelCount => Padding.Pad(Rows) / PanelRows;

    int IPackable.PartCount => PanelCount;

    /// <summary>Bytes of the packed weights.</summary>
    public long Bytes => PanelBytes * PanelCount;

    /// <summary>What <see cref="Multiply"/> reads.</summary>
    public abstract ActivationFormat Format { get; }

    protected long PanelBytes { get; }

    /// <summary>16-bit numbers of scratch that <see cref="Multiply"/> needs.</summary>
    public virtual int ScratchLength => 0;

    /// <summary>Steps of a tile along the columns.</summary>
    protected abstract int Steps { get; }

    /// <summary>Most activations of a tile, at most <see cref="LargestTile"/>: with two vectors of rows their sums fill the registers.</summary>
    protected abstract int MostTokens { get; }

    public void Take(MemorySlice memory) => _memory = memory;

    public void Pack(int panel) => _packPanel!(panel);

    public void FinishPacking() => _packPanel = null;

    /// <summary>Reads a row back, exactly as the file's weights are dequantized.</summary>
    /// <param name="row">Which row.</param>
    /// <param name="weights">Takes <see cref="Columns"/> floats.</param>
    public abstract void ReadRow(int row, Span<float> weights);

    /// <summary>Multiplies panels with all rows of activations.</summary>
    /// <param name="input">The activations; of <see cref="Columns"/> elements.</param>
    /// <param name="output">Takes element <c>row</c> of the product with activation i at <c>i × outputStride + row</c>, counted from the first panel's first.</param>
    /// <param name="outputStride">Floats from one product to the next.</param>
    /// <param name="firstPanel">First panel.</param>
    /// <param name="endPanel">One past the last panel.</param>
    /// <param name="scratch">Memory of the caller's own, for <see cref="ScratchLength"/> numbers.</param>
    /// <param name="next">The panel that the caller will probably multiply next, as <see cref="PanelAt"/> says it.</param>
    /// <param name="isExpected">Whether the first panel was the next of a call before.</param>
    public void Multiply(in ActivationRows input, float* output, int outputStride, int firstPanel, int endPanel, short* scratch, byte* next = null, bool isExpected = false)
    {
        if (input.Count == 0) return;
        // Tiles as even as can be: one of a single activation wastes most of what it loads.
        int tiles = (input.Count + MostTokens - 1) / MostTokens, tokens = input.Count / tiles, larger = input.Count % tiles;
        TileRun first = new(0, tokens + 1, larger, 0), rest = new(larger * (tokens + 1), tokens, tiles - larger, larger);
        for (int panel = firstPanel; panel < endPanel; panel++, output += PanelRows)
        {
            var walk = new PanelWalk(Panel(panel), PanelBytes, Steps, panel + 1 < endPanel ? Panel(panel + 1) : next, tiles, isFirst: panel == firstPanel && !isExpected);
            if (larger > 0) MultiplyTiles(panel, input, first, output, outputStride, walk, scratch);
            MultiplyTiles(panel, input, rest, output, outputStride, walk, scratch);
        }
    }

    /// <summary>Where a panel stands; null if there is none of that number.</summary>
    public byte* PanelAt(int index) => index < PanelCount ? Panel(index) : null;

    public void Dispose() => _memory?.Dispose();

    /// <summary>For constructors: says how a panel is packed.</summary>
    protected void PackWith(Action<int> packPanel) => _packPanel = packPanel;

    /// <summary>Multiplies a panel with tiles of 1 to <see cref="MostTokens"/> activations each.</summary>
    /// <param name="panel">Which panel.</param>
    /// <param name="input">All activations.</param>
    /// <param name="run">Which of them.</param>
    /// <param name="output">Takes the panel's 32 products with activation i at <c>i × outputStride</c>.</param>
    /// <param name="outputStride">Floats from the products of one activation to those of the next.</param>
    /// <param name="walk">What the tiles ask for ahead.</param>
    /// <param name="scratch">Memory for <see cref="ScratchLength"/> numbers, kept from the first run of a panel to the next.</param>
    protected abstract void MultiplyTiles(int panel, in ActivationRows input, TileRun run, float* output, int outputStride, in PanelWalk walk, short* scratch);

    protected byte* Panel(int index) => _memory!.Pointer + index * PanelBytes;
}
