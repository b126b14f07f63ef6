namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Where the scheduler's loop runs. The loop is one asynchronous method whose continuations all return to the
/// <see cref="SynchronizationContext"/> that the host gives it, so that its state has a single owner.
/// </summary>
public abstract class SchedulerLoopHost
{
    /// <summary>A thread of its own: neither a busy thread pool nor blocked callers delay the loop.</summary>
    public static SchedulerLoopHost DedicatedThread { get; } = new DedicatedThreadHost();

    /// <summary>Starts the loop.</summary>
    /// <param name="loop">The loop; it must be called on, and its continuations must return to, one context.</param>
    /// <returns>A task that completes, or fails, when the loop has.</returns>
    public abstract Task Run(Func<Task> loop);

    /// <summary>Waits, where that is safe, for a loop that was told to stop at once. Does nothing by default.</summary>
    /// <param name="loop">What <see cref="Run"/> returned.</param>
    public virtual void Join(Task loop)
    {
    }
}
