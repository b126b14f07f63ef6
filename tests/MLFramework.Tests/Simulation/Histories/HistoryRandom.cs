namespace MLFramework.Tests.Simulation.Histories;

/// <summary>The one source of chance of a history: a seed gives the same numbers on every machine and runtime (SplitMix64).</summary>
internal sealed class HistoryRandom(ulong seed)
{
    private ulong _state = seed;

    public ulong NextBits()
    {
        _state += 0x9E3779B97F4A7C15;
        ulong z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>A number from <paramref name="least"/> to <paramref name="most"/>, both included.</summary>
    public int Next(int least, int most) => least + (int)(NextBits() % (ulong)(most - least + 1));

    public bool Chance(double probability) => (NextBits() >> 11) * (1.0 / (1UL << 53)) < probability;

    public T Pick<T>(params T[] choices) => choices[Next(0, choices.Length - 1)];

    public Guid NextGuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        BitConverter.TryWriteBytes(bytes, NextBits());
        BitConverter.TryWriteBytes(bytes[8..], NextBits());
        return new Guid(bytes);
    }
}
