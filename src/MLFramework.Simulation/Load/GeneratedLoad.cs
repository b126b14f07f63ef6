namespace MLFramework.Simulation;

/// <summary>A load drawn from distributions: the same seed gives the same load on every machine.</summary>
/// <param name="RequestsPerSecond">Mean rate of arrivals, <see cref="MinRate"/> to <see cref="MaxRate"/>.</param>
/// <param name="Requests">How many arrive, 1 to 10 million.</param>
public sealed record class GeneratedLoad(double RequestsPerSecond, int Requests)
{
    /// <summary>Lowest rate, in requests per second.</summary>
    public const double MinRate = 1e-3;

    /// <summary>Highest rate, in requests per second.</summary>
    public const double MaxRate = 1e6;

    /// <summary>
    /// Coefficient of variation of the time between arrivals, more than 0 and at most 100: 1 is a Poisson process, more is burstier, less more even. Any
    /// value but 1 draws gaps from a Gamma distribution of shape 1/CV².
    /// </summary>
    /// <value>1.</value>
    public double Burstiness { get; init; } = 1;

    /// <summary>Lengths of prompts.</summary>
    public LengthDistribution PromptTokens { get; init; } = LengthDistribution.ConversationPrompts;

    /// <summary>Lengths of answers.</summary>
    public LengthDistribution OutputTokens { get; init; } = LengthDistribution.ConversationAnswers;

    /// <summary>The same seed gives the same load.</summary>
    public ulong Seed { get; init; }

    /// <summary>Checks every member against its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public void Validate()
    {
        if (!(RequestsPerSecond is >= MinRate and <= MaxRate))
        {
            throw new ArgumentOutOfRangeException(nameof(RequestsPerSecond), RequestsPerSecond, $"The rate must be {MinRate} to {MaxRate} requests per second.");
        }

        if (Requests is < 1 or > 10_000_000)
        {
            throw new ArgumentOutOfRangeException(nameof(Requests), Requests, "A load must have 1 to 10,000,000 requests.");
        }

        if (!(Burstiness is > 0 and <= 100))
        {
            throw new ArgumentOutOfRangeException(nameof(Burstiness), Burstiness, "Burstiness must be more than 0 and at most 100; 1 is Poisson.");
        }

        PromptTokens.Validate();
        OutputTokens.Validate();
    }

    /// <summary>Draws the load.</summary>
    /// <returns>Requests in order of arrival, drawn as they are asked for; prompts share nothing.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    public IEnumerable<Arrival> Generate()
    {
        Validate();
        return Draw();
    }

    private IEnumerable<Arrival> Draw()
    {
        // One stream per quantity: changing one distribution leaves the draws of the others as they were.
        var gaps = new RandomStream(CounterHash.Derive(Seed, 1));
        var prompts = new RandomStream(CounterHash.Derive(Seed, 2));
        var outputs = new RandomStream(CounterHash.Derive(Seed, 3));
        ulong content = CounterHash.Derive(Seed, 6);
        double seconds = 0;
        for (int i = 0; i < Requests; i++)
        {
            seconds += DrawGap(gaps) / RequestsPerSecond;
            yield return new Arrival(
                TimeSpan.FromSeconds(seconds),
                [new PromptSegment((long)(CounterHash.At(content, (ulong)i) >> 1), PromptTokens.Draw(prompts))],
                OutputTokens.Draw(outputs));
        }
    }

    /// <summary>A gap with mean 1.</summary>
    private double DrawGap(RandomStream random)
    {
        if (Burstiness == 1)
        {
            return random.NextExponential();
        }

        double shape = 1 / (Burstiness * Burstiness);
        return random.NextGamma(shape) / shape;
    }
}
