namespace MLFramework.Cpu;

/// <summary>Tiles of activations of one size, one after the other.</summary>
/// <param name="First">The first activation.</param>
/// <param name="Tokens">Activations of a tile.</param>
/// <param name="Count">Number of tiles.</param>
/// <param name="FirstTile">Tiles that were computed before, with as many activations or more.</param>
internal readonly record struct TileRun(int First, int Tokens, int Count, int FirstTile);

/// <summary>Weights that a tile asks for while it computes: at every step along its columns the next bytes.</summary>
/// <param name="address">Where they begin.</param>
/// <param name="step">Bytes to ask for at every step, a multiple of 64; 0 for none.</param>
internal readonly unsafe struct Lookahead(byte* address, int step)
{
    public byte* Address { get; } = address;

    public int Step { get; } = step;
}

/// <summary>
/// Which weights the tiles of a panel ask for ahead. Weights come from memory once per pass, in the first tile that reads them, which alone would wait for
/// them while the tiles after it leave the memory idle. So each tile asks for a part of the panel that comes next.
/// </summary>
internal readonly unsafe struct PanelWalk
{
    private const int CacheLine = 64;

    /// <summary>How far a tile looks ahead in its own panel, if no tile before could ask for it.</summary>
    private const int NearBytes = 4608;

    private readonly byte* _panel, _next;
    private readonly int _steps, _lines;
    private readonly bool _isCold;

    /// <param name="panel">The panel.</param>
    /// <param name="panelBytes">Its bytes.</param>
    /// <param name="steps">Steps of a tile along the columns.</param>
    /// <param name="next">The panel that will be computed next; null if that is not known.</param>
    /// <param name="tiles">Tiles that the panel is multiplied with.</param>
    /// <param name="isFirst">Whether no panel was computed before.</param>
    public PanelWalk(byte* panel, long panelBytes, int steps, byte* next, int tiles, bool isFirst)
    {
        _panel = panel;
        _steps = steps;
        _lines = (int)((panelBytes / steps + CacheLine - 1) / CacheLine);
        _next = next;
        Tiles = tiles;
        // A single tile streams from panel to panel.
        _isCold = isFirst || tiles == 1;
    }

    /// <summary>Tiles that the panel is multiplied with.</summary>
    public int Tiles { get; }

    /// <summary>What a tile asks for.</summary>
    /// <param name="tile">Which of the tiles.</param>
    /// <param name="pass">Which of the passes over the tiles, each over some of the panel's rows.</param>
    /// <param name="passes">Number of passes.</param>
    public Lookahead Of(int tile, int pass, int passes)
    {
        int unit = pass * Tiles + tile, units = passes * Tiles;
        if (_isCold)
        {
            if (unit == 0) return new Lookahead(_panel + NearBytes, _lines * CacheLine);
            (unit, units) = (unit - 1, units - 1);
        }
        if (_next == null || Tiles == 1 || unit >= _lines) return default;
        int sharers = Math.Min(units, _lines), share = (_lines + sharers - 1) / sharers * CacheLine;
        return new Lookahead(_next + (long)unit * share * _steps, share);
    }
}
