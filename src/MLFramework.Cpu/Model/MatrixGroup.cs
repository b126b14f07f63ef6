namespace MLFramework.Cpu;

/// <summary>Matrices that multiply the same activations, as queries, keys and values do: one phase of a pass. Their products stand side by side, each padded.</summary>
internal sealed unsafe class MatrixGroup : IDisposable
{
    private const int MostPanelsAtOnce = 16, SharesPerMember = 8;

    private readonly PackedMatrix[] _parts;
    private readonly int[] _firstPanels;
    private readonly int _panels;

    /// <param name="parts">Matrices with the same number of columns.</param>
    public MatrixGroup(params PackedMatrix[] parts)
    {
        _parts = parts;
        _firstPanels = new int[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            _firstPanels[i] = _panels;
            _panels += parts[i].PanelCount;
        }
        NeedsCodes = parts.Any(part => part.Format == ActivationFormat.Int16);
        NeedsBlocks = parts.Any(part => part.Format == ActivationFormat.Int8);
    }

    /// <summary>Whether the activations must also be given as 16-bit integers.</summary>
    public bool NeedsCodes { get; }

    /// <summary>Whether the activations must also be given as 8-bit integers.</summary>
    public bool NeedsBlocks { get; }

    /// <summary>Elements of all products of one activation, padding included.</summary>
    public int OutputStride => _panels * PackedMatrix.PanelRows;

    /// <summary>Elements of an activation, padded.</summary>
    public int InputStride => Padding.Pad(_parts[0].Columns);

    /// <summary>16-bit numbers of scratch that multiplying needs.</summary>
    public int ScratchLength => _parts.Max(part => part.ScratchLength);

    /// <summary>Bytes of the packed weights.</summary>
    public long Bytes => _parts.Sum(part => part.Bytes);

    /// <summary>Names the kernels of its parts.</summary>
    public string Kind => string.Join(' ', _parts.Select(part => part.GetType()));

    /// <summary>Where a part's product begins.</summary>
    public int Offset(int part) => _firstPanels[part] * PackedMatrix.PanelRows;

    /// <summary>Multiplies together with the other members of a team. A barrier must follow.</summary>
    /// <param name="team">The team.</param>
    /// <param name="input">The activations.</param>
    /// <param name="output">Takes a row of <see cref="OutputStride"/> per activation.</param>
    /// <param name="scratch">Memory of the member's own, for <see cref="ScratchLength"/> numbers.</param>
    public void Multiply(ComputeTeam team, in ActivationRows input, float* output, short* scratch)
    {
        int grain = Math.Clamp(_panels / (SharesPerMember * team.Size), 1, MostPanelsAtOnce);
        while (team.TryTake(_panels, grain, out int first, out int end))
        {
            // While a member computes these, the others take as many each.
            byte* next = PanelAt(first + team.Size * grain);
            for (int i = 0; i < _parts.Length; i++)
            {
                int start = _firstPanels[i], from = Math.Max(first, start), to = Math.Min(end, start + _parts[i].PanelCount);
                if (from < to) _parts[i].Multiply(input, output + from * PackedMatrix.PanelRows, OutputStride, from - start, to - start, scratch, next);
            }
        }
    }

    /// <summary>Multiplies a panel of the first matrix and the same panel of the second: for who can use their products while they are in the cache.</summary>
    /// <param name="panel">Which panel.</param>
    /// <param name="input">The activations.</param>
    /// <param name="output">Takes for each activation the products of the first, then those of the second.</param>
    /// <param name="scratch">Memory of the member's own, for <see cref="ScratchLength"/> numbers.</param>
    /// <param name="nextPanel">The panel that the caller will probably multiply next.</param>
    public void MultiplyPair(int panel, in ActivationRows input, float* output, short* scratch, int nextPanel)
    {
        const int Stride = 2 * PackedMatrix.PanelRows;
        _parts[0].Multiply(input, output, Stride, panel, panel + 1, scratch, _parts[1].PanelAt(panel));
        _parts[1].Multiply(input, output + PackedMatrix.PanelRows, Stride, panel, panel + 1, scratch, _parts[0].PanelAt(nextPanel), isExpected: true);
    }

    public void Dispose()
    {
        foreach (PackedMatrix part in _parts) part.Dispose();
    }

    private byte* PanelAt(int panel)
    {
        int part = _parts.Length - 1;
        while (_firstPanels[part] > panel) part--;
        return _parts[part].PanelAt(panel - _firstPanels[part]);
    }
}
