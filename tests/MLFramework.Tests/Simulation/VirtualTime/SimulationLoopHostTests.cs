using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.VirtualTime;

public class SimulationLoopHostTests
{
    private readonly SimulationContext _context = new(new VirtualTimeProvider());

    [Test]
    public void The_loop_runs_on_the_simulations_thread_when_the_simulation_does()
    {
        int? thread = null;
        Task loop = new SimulationLoopHost(_context).Run(async () =>
        {
            await Task.Delay(TimeSpan.FromHours(1), _context.Clock);
            thread = Environment.CurrentManagedThreadId;
        });
        Assert.That(_context.Clock.NextDue, Is.Null, "not yet");
        _context.Run(() => loop);
        Assert.That(thread, Is.EqualTo(Environment.CurrentManagedThreadId));
    }

    [Test]
    public void The_loops_failure_is_the_tasks()
    {
        Task loop = new SimulationLoopHost(_context).Run(() => Task.FromException(new InvalidDataException("x")));
        Assert.That(() => _context.Run(() => loop), Throws.InstanceOf<InvalidDataException>());
    }
}
