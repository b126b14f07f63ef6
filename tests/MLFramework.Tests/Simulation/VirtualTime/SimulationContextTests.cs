using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.VirtualTime;

public class SimulationContextTests
{
    private readonly SimulationContext _context = new(new VirtualTimeProvider());

    [Test]
    public void Awaited_delays_interleave_in_virtual_time_order()
    {
        var log = new List<string>();
        _context.Run(() => Task.WhenAll(Worker("a", 30), Worker("b", 20)));
        Assert.That(log, Is.EqualTo(new[] { "b@20", "a@30", "b@40", "a@60" }));

        async Task Worker(string name, int ms)
        {
            for (int i = 0; i < 2; i++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(ms), _context.Clock);
                log.Add($"{name}@{_context.Clock.Elapsed.TotalMilliseconds}");
            }
        }
    }

    [Test]
    public void Everything_runs_on_the_simulating_thread()
    {
        int thread = Environment.CurrentManagedThreadId;
        var seen = new List<int>();
        _context.Run(async () =>
        {
            await Task.Delay(TimeSpan.FromHours(1), _context.Clock);
            seen.Add(Environment.CurrentManagedThreadId);
            await Task.Yield();
            seen.Add(Environment.CurrentManagedThreadId);
        });
        Assert.That(seen, Is.EqualTo(new[] { thread, thread }));
    }

    [Test]
    public void The_roots_exception_comes_out() =>
        Assert.Throws<InvalidDataException>(() => _context.Run(async () =>
        {
            await Task.Delay(TimeSpan.FromSeconds(1), _context.Clock);
            throw new InvalidDataException("x");
        }));

    [Test]
    public void Waiting_for_what_nobody_will_send_is_reported_as_a_stall() =>
        Assert.Throws<SimulationStalledException>(() => _context.Run(() => new TaskCompletionSource().Task));

    [Test]
    public void The_outer_context_is_restored()
    {
        SynchronizationContext? outer = SynchronizationContext.Current;
        _context.Run(() => Task.CompletedTask);
        Assert.That(SynchronizationContext.Current, Is.SameAs(outer));
    }
}
