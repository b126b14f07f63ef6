namespace MLFramework.Simulation;

/// <summary>How far a simulation has come.</summary>
/// <param name="Arrived">Requests that have arrived.</param>
/// <param name="Ended">Requests that have ended or were refused.</param>
/// <param name="VirtualTime">Since the start of the simulation.</param>
public readonly record struct SimulationProgress(int Arrived, int Ended, TimeSpan VirtualTime);
