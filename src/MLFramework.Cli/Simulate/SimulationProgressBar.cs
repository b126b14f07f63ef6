using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary>Shows a simulation's progress: requests ended, and the virtual time.</summary>
internal sealed class SimulationProgressBar(IProgress<ProgressStep> bar) : IProgress<SimulationProgress>
{
    /// <inheritdoc/>
    public void Report(SimulationProgress value) => bar.Report(new ProgressStep(value.Ended, $"Virtual time {value.VirtualTime:hh\\:mm\\:ss}"));
}
