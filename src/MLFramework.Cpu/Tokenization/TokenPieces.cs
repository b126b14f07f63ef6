namespace MLFramework.Cpu;

/// <summary>The bytes of every token, in one array.</summary>
internal sealed class TokenPieces
{
    private readonly byte[] _bytes;
    private readonly int[] _ends;

    /// <param name="count">Number of tokens.</param>
    /// <param name="append">Appends the bytes of one token.</param>
    public TokenPieces(int count, Action<int, List<byte>> append)
    {
        var bytes = new List<byte>(count * 6);
        _ends = new int[count];
        for (int id = 0; id < count; id++)
        {
            append(id, bytes);
            _ends[id] = bytes.Count;
        }
        _bytes = [.. bytes];
    }

    /// <exception cref="ArgumentOutOfRangeException">No such id.</exception>
    public ReadOnlySpan<byte> this[int id]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(id);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, _ends.Length);
            return _bytes.AsSpan((id == 0 ? 0 : _ends[id - 1]).._ends[id]);
        }
    }
}
