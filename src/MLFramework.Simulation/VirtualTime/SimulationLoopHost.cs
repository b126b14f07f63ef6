using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>Runs a scheduler's loop in a simulation: on its one thread, in virtual time.</summary>
/// <param name="context">The simulation.</param>
public sealed class SimulationLoopHost(SimulationContext context) : SchedulerLoopHost
{
    /// <inheritdoc/>
    public override Task Run(Func<Task> loop)
    {
        ArgumentNullException.ThrowIfNull(loop);
        var done = new TaskCompletionSource();
        context.Post(
            _ => loop().ContinueWith(
                static (ended, state) => ((TaskCompletionSource)state!).SetFromTask(ended),
                done,
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default),
            null);
        return done.Task;
    }
}
