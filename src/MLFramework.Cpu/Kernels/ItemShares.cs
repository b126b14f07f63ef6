namespace MLFramework.Cpu;

/// <summary>Takes items of a team's phase, some at a time, and goes through them.</summary>
/// <param name="team">The team.</param>
/// <param name="count">Items of the phase.</param>
/// <param name="grain">How many to take at once.</param>
internal struct ItemShares(ComputeTeam team, int count, int grain)
{
    private int _end;

    /// <summary>The item.</summary>
    public int Current { get; private set; } = -1;

    /// <summary>The item that the member will probably take after this, if there are so many: between two shares of a member all others take one.</summary>
    public readonly int Next => Current + 1 < _end ? Current + 1 : Current + 1 + (team.Size - 1) * grain;

    public readonly ItemShares GetEnumerator() => this;

    public bool MoveNext()
    {
        if (++Current < _end) return true;
        bool isTaken = team.TryTake(count, grain, out int first, out _end);
        Current = first;
        return isTaken;
    }
}
