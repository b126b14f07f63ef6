using Spectre.Console;

namespace MLFramework.Cli;

/// <summary>How far a command has come.</summary>
/// <param name="Value">Of the maximum.</param>
/// <param name="Description">What is going on; null for as before.</param>
internal readonly record struct ProgressStep(double Value, string? Description = null);

/// <summary>A progress bar on standard error while a command works, if somebody watches.</summary>
internal static class ProgressDisplay
{
    /// <summary>Runs <paramref name="work"/> under a bar.</summary>
    /// <param name="terminal">Where to show it.</param>
    /// <param name="description">What is going on.</param>
    /// <param name="max">Value at the end.</param>
    /// <param name="work">Reports how far it is, unless it gets null.</param>
    public static T Watch<T>(Terminal terminal, string description, double max, Func<IProgress<ProgressStep>?, T> work) =>
        !terminal.ShowsProgress
            ? work(null)
            : terminal.Error.Progress()
                .AutoClear(true)
                .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
                .Start(display => work(new Bar(display.AddTask(Markup.Escape(description), maxValue: max))));

    private sealed class Bar(ProgressTask task) : IProgress<ProgressStep>
    {
        public void Report(ProgressStep value)
        {
            task.Value = value.Value;
            if (value.Description is { } description)
            {
                task.Description = Markup.Escape(description);
            }
        }
    }
}
