using System.Runtime.ExceptionServices;

namespace MLFramework.Simulation;

/// <summary>
/// A single-threaded synchronization context over a <see cref="VirtualTimeProvider"/>: asynchronous code that awaits in
/// it runs in one repeatable order, and virtual time moves only when nothing is left to run.
/// </summary>
/// <remarks>
/// All members but <see cref="Post"/> are for the one thread that runs the simulation. The discipline is that of a
/// discrete-event simulator: run everything that is ready, then jump to the next timer.
/// </remarks>
public sealed class SimulationContext : SynchronizationContext
{
    private readonly Lock _lock = new();
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _ready = new();

    /// <summary>Makes a context over <paramref name="clock"/>.</summary>
    /// <param name="clock">The clock that everything inside the simulation reads.</param>
    /// <exception cref="ArgumentNullException"><paramref name="clock"/> is null.</exception>
    public SimulationContext(VirtualTimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        Clock = clock;
    }

    /// <summary>The clock of this simulation.</summary>
    public VirtualTimeProvider Clock { get; }

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        ArgumentNullException.ThrowIfNull(d);
        lock (_lock)
        {
            _ready.Enqueue((d, state));
        }
    }

    /// <inheritdoc/>
    /// <remarks>Runs <paramref name="d"/> at once: there is only one thread.</remarks>
    public override void Send(SendOrPostCallback d, object? state)
    {
        ArgumentNullException.ThrowIfNull(d);
        d(state);
    }

    /// <inheritdoc/>
    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Runs <paramref name="main"/> and everything that it starts until it completes.</summary>
    /// <param name="main">The simulation's root; its exception, if it ends in one, is rethrown here.</param>
    /// <exception cref="SimulationStalledException">Nothing is ready and no timer is armed, yet <paramref name="main"/> has not ended.</exception>
    public void Run(Func<Task> main)
    {
        ArgumentNullException.ThrowIfNull(main);
        Enter(() =>
        {
            Task task = main();
            while (!task.IsCompleted)
            {
                if (!RunOne() && !Clock.AdvanceToNextTimer())
                {
                    throw new SimulationStalledException(Clock.Elapsed);
                }
            }

            task.GetAwaiter().GetResult();
        });
    }

    /// <summary>Runs all that is ready now, without moving the clock.</summary>
    public void RunReady() => Enter(() =>
    {
        while (RunOne())
        {
        }
    });

    /// <summary>Runs all that is ready, then moves the clock to the next timer and runs what that made ready.</summary>
    /// <returns>False when no timer was armed: virtual time can move no further by itself.</returns>
    public bool Step()
    {
        bool moved = false;
        Enter(() =>
        {
            while (RunOne())
            {
            }

            moved = Clock.AdvanceToNextTimer();
            while (RunOne())
            {
            }
        });
        return moved;
    }

    private bool RunOne()
    {
        (SendOrPostCallback Callback, object? State) item;
        lock (_lock)
        {
            if (!_ready.TryDequeue(out item))
            {
                return false;
            }
        }

        item.Callback(item.State);
        return true;
    }

    private void Enter(Action action)
    {
        SynchronizationContext? outer = Current;
        SetSynchronizationContext(this);
        try
        {
            action();
        }
        catch (AggregateException e) when (e.InnerExceptions.Count == 1)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
        finally
        {
            SetSynchronizationContext(outer);
        }
    }
}
