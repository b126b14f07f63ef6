namespace MLFramework.Cli;

/// <summary>How generated requests arrive.</summary>
internal enum ArrivalProcess
{
    /// <summary>Independently of each other.</summary>
    Poisson,

    /// <summary>In bursts, or evenly: gaps of a Gamma distribution.</summary>
    Gamma,
}
