namespace MLFramework.Simulation;

/// <summary>
/// A seeded stream of random numbers that is the same on every machine and every version of .NET, which
/// <see cref="Random"/> does not promise. Not thread-safe.
/// </summary>
internal sealed class RandomStream(ulong seed)
{
    private ulong _drawn;

    /// <summary>Uniform over all 64-bit values.</summary>
    public ulong NextUInt64() => CounterHash.At(seed, _drawn++);

    /// <summary>Uniform in (0, 1): never 0, so that its logarithm is finite.</summary>
    public double NextDouble() => ((NextUInt64() >> 11) + 0.5) * (1.0 / (1UL << 53));

    /// <summary>Uniform over 0 … <paramref name="bound"/> − 1.</summary>
    public int Next(int bound) => CounterHash.Below(NextUInt64(), bound);

    /// <summary>Exponential with mean 1, by inversion.</summary>
    public double NextExponential() => -Math.Log(NextDouble());

    /// <summary>Standard normal, by the transform of Box and Muller (1958).</summary>
    public double NextNormal() => Math.Sqrt(2 * NextExponential()) * Math.Cos(2 * Math.PI * NextDouble());

    /// <summary>Gamma of a given shape and scale 1, by the method of Marsaglia and Tsang (2000).</summary>
    /// <param name="shape">More than 0; the mean.</param>
    public double NextGamma(double shape)
    {
        if (shape < 1)
        {
            // Their boost for small shapes: Gamma(a) = Gamma(a + 1) · U^(1/a).
            return NextGamma(shape + 1) * Math.Pow(NextDouble(), 1 / shape);
        }

        double d = shape - (1.0 / 3);
        double c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double x = NextNormal();
            double v = 1 + (c * x);
            if (v <= 0)
            {
                continue;
            }

            v = v * v * v;
            if (Math.Log(NextDouble()) < (0.5 * x * x) + d - (d * v) + (d * Math.Log(v)))
            {
                return d * v;
            }
        }
    }
}
