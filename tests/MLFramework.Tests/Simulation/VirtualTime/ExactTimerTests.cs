using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.VirtualTime;

public sealed class ExactTimerTests : IDisposable
{
    private readonly VirtualTimeProvider _clock = new();
    private readonly ExactTimer<int> _timer;

    public ExactTimerTests() => _timer = new ExactTimer<int>(_clock);

    public void Dispose() => _timer.Dispose();

    [Test]
    public void It_keeps_the_resolution_of_the_clock()
    {
        Task<int> task = _timer.CompleteAfter(TimeSpan.FromTicks(15), 7, CancellationToken.None);
        _clock.Advance(TimeSpan.FromTicks(14));
        Assert.That(task.IsCompleted, Is.False);
        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.That(task.Result, Is.EqualTo(7));
    }

    [Test]
    public void It_serves_one_wait_after_another_and_never_two_at_once()
    {
        Task<int> first = _timer.CompleteAfter(TimeSpan.FromTicks(10), 1, CancellationToken.None);
        Assert.That(() => _timer.CompleteAfter(TimeSpan.FromTicks(10), 2, CancellationToken.None), Throws.InvalidOperationException);
        _clock.Advance(TimeSpan.FromTicks(10));
        Task<int> second = _timer.CompleteAfter(TimeSpan.FromTicks(10), 2, CancellationToken.None);
        Assert.That(first.Result, Is.EqualTo(1));
        Assert.That(second.IsCompleted, Is.False);
        _clock.Advance(TimeSpan.FromTicks(10));
        Assert.That(second.Result, Is.EqualTo(2));
    }

    [Test]
    public void Cancelling_ends_this_wait_and_leaves_the_next_alone()
    {
        using var cancellation = new CancellationTokenSource();
        Task<int> cancelled = _timer.CompleteAfter(TimeSpan.FromTicks(10), 1, cancellation.Token);
        cancellation.Cancel();
        Task<int> next = _timer.CompleteAfter(TimeSpan.FromTicks(20), 2, CancellationToken.None);
        _clock.Advance(TimeSpan.FromTicks(10));
        Assert.That(cancelled.IsCanceled);
        Assert.That(next.IsCompleted, Is.False);
    }

    [Test]
    public void A_token_that_fires_after_its_wait_has_ended_does_nothing()
    {
        using var cancellation = new CancellationTokenSource();
        Task<int> done = _timer.CompleteAfter(TimeSpan.FromTicks(10), 1, cancellation.Token);
        _clock.Advance(TimeSpan.FromTicks(10));
        Task<int> next = _timer.CompleteAfter(TimeSpan.FromTicks(10), 2, CancellationToken.None);
        cancellation.Cancel();
        _clock.Advance(TimeSpan.FromTicks(10));
        Assert.That(done.Result, Is.EqualTo(1));
        Assert.That(next.Result, Is.EqualTo(2));
    }

    [Test]
    public void A_token_that_has_fired_already_arms_nothing()
    {
        Task<int> task = _timer.CompleteAfter(TimeSpan.FromTicks(10), 1, new CancellationToken(canceled: true));
        Assert.That(task.IsCanceled);
        Assert.That(_clock.NextDue, Is.Null);
    }
}
