namespace MLFramework.Simulation;

/// <summary>
/// Nothing in the simulation is ready to run and no timer is armed, yet it has not ended: somebody waits for a wake-up
/// that nobody will send.
/// </summary>
public sealed class SimulationStalledException : InvalidOperationException
{
    /// <summary>Makes the exception for a stall at <paramref name="at"/>.</summary>
    /// <param name="at">Virtual time since the start of the simulation.</param>
    public SimulationStalledException(TimeSpan at)
        : base($"The simulation stalled at virtual time {at}: nothing is ready and no timer is armed. A wake-up was lost; replay the seed and look at who waits.")
    {
    }
}
