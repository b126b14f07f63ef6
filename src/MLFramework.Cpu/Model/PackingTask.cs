namespace MLFramework.Cpu;

/// <summary>Weights to be packed from a tensor.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="Weights">The weights.</param>
internal sealed record PackingTask(GgufTensor Tensor, IPackable Weights)
{
    /// <summary>Enough that pieces cost little to hand out, and little enough that all threads end at about the same time.</summary>
    private const int PieceBytes = 1 << 20;

    /// <summary>Divides the work.</summary>
    public IEnumerable<PackingPiece> Pieces()
    {
        int parts = (int)Math.Clamp((double)PieceBytes * Weights.PartCount / Weights.Bytes, 1, Weights.PartCount);
        for (int first = 0; first < Weights.PartCount; first += parts) yield return new PackingPiece(Weights, first, Math.Min(first + parts, Weights.PartCount));
    }
}

/// <summary>Consecutive parts of some weights.</summary>
/// <param name="Weights">The weights.</param>
/// <param name="First">First part.</param>
/// <param name="End">One past the last part.</param>
internal readonly record struct PackingPiece(IPackable Weights, int First, int End)
{
    /// <summary>Packs them.</summary>
    /// <returns>Bytes packed, about.</returns>
    public long Pack()
    {
        for (int part = First; part < End; part++) Weights.Pack(part);
        return BytesBefore(End) - BytesBefore(First);
    }

    private long BytesBefore(int part) => (long)((Int128)Weights.Bytes * part / Weights.PartCount);
}
