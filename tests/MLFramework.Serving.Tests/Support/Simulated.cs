using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

/// <summary>Runs a test in virtual time on one thread, the batcher included: the same order of events every time.</summary>
internal static class Simulated
{
    public static void Run(Func<VirtualTimeProvider, Task> test)
    {
        var clock = new VirtualTimeProvider();
        new SimulationContext(clock).Run(() => test(clock));
    }

    /// <summary>A batcher that lives on the simulation's thread and clock. Call inside <see cref="Run"/>.</summary>
    public static DynamicBatcher<int, string> Batcher(this VirtualTimeProvider clock, BatchingConfiguration configuration, FakeProcessor processor) =>
        new(configuration, processor.ProcessAsync, clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());

    /// <summary>Waits in virtual time, to the tick (<see cref="Task.Delay(TimeSpan, TimeProvider)"/> cuts to whole milliseconds).</summary>
    public static async Task After(this VirtualTimeProvider clock, double milliseconds)
    {
        var due = new TaskCompletionSource();
        await using ITimer timer = clock.CreateTimer(_ => due.SetResult(), null, TimeSpan.FromMilliseconds(milliseconds), Timeout.InfiniteTimeSpan);
        await due.Task;
    }

    /// <summary>Awaits all in their order. <see cref="Task.WhenAll(IEnumerable{Task})"/> would hop to the thread pool, because responses run continuations asynchronously.</summary>
    public static async Task<string[]> All(params IEnumerable<Task<string>> tasks)
    {
        var responses = new List<string>();
        foreach (Task<string> task in tasks.ToArray())
        {
            responses.Add(await task);
        }

        return [.. responses];
    }

    /// <summary>Awaits <paramref name="task"/> and returns what it ended in. (NUnit's own way to await blocks the thread that the simulation needs.)</summary>
    public static async Task<Exception?> ErrorOf(Task task)
    {
        try
        {
            await task;
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }

    /// <summary>Lets everything run that is ready now: virtual time moves only when nothing else is left.</summary>
    public static Task Settle(this VirtualTimeProvider clock) => clock.After(TimeSpan.FromTicks(1).TotalMilliseconds);
}
