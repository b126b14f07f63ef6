using MLFramework.Simulation;
using Spectre.Console;

namespace MLFramework.Cli;

/// <summary>A progress bar on standard error while a simulation runs, if somebody watches.</summary>
internal static class ProgressDisplay
{
    /// <summary>Runs <paramref name="simulate"/> under a bar of <paramref name="requests"/> steps.</summary>
    public static T Watch<T>(Terminal terminal, int requests, Func<IProgress<SimulationProgress>?, T> simulate) =>
        !terminal.ShowsProgress
            ? simulate(null)
            : terminal.Error.Progress()
                .AutoClear(true)
                .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
                .Start(display => simulate(new Bar(display.AddTask("Simulating", maxValue: requests))));

    private sealed class Bar(ProgressTask task) : IProgress<SimulationProgress>
    {
        public void Report(SimulationProgress value)
        {
            task.Value = value.Ended;
            task.Description = $"Virtual time {value.VirtualTime:hh\\:mm\\:ss}";
        }
    }
}
