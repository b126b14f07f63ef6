namespace MLFramework.Tests.Simulation.Histories;

/// <summary>How often a step of the model goes wrong, and how.</summary>
internal sealed record FaultRates
{
    public double ThrowBefore { get; init; }

    public double ThrowAfter { get; init; }

    public double HangUntilCancelled { get; init; }

    public double HangOn { get; init; }

    public double Slow { get; init; }

    public double WrongTokenCount { get; init; }

    public double WrongFlagCount { get; init; }

    public double OutOfVocabulary { get; init; }

    public double NanLogits { get; init; }

    public double OwnFailure { get; init; }

    /// <summary>The chance that a request fails every batch that it is part of.</summary>
    public double Poison { get; init; }

    public bool Any => this != new FaultRates();

    public static FaultRates Draw(HistoryRandom random)
    {
        if (random.Chance(0.4))
        {
            return new FaultRates();
        }

        return new FaultRates
        {
            ThrowBefore = Rate(0.05),
            ThrowAfter = Rate(0.05),
            HangUntilCancelled = Rate(0.02),
            HangOn = Rate(0.01),
            Slow = Rate(0.05),
            WrongTokenCount = Rate(0.03),
            WrongFlagCount = Rate(0.03),
            OutOfVocabulary = Rate(0.03),
            NanLogits = Rate(0.03),
            OwnFailure = Rate(0.03),
            Poison = Rate(0.1),
        };

        double Rate(double rate) => random.Chance(0.4) ? rate : 0;
    }
}
