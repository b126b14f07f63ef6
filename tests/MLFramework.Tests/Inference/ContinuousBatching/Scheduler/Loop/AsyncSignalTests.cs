using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Loop;

public class AsyncSignalTests
{
    private readonly AsyncSignal _signal = new();

    [Test]
    public void A_signal_before_the_wait_is_kept()
    {
        _signal.Set();
        Assert.That(_signal.WaitAsync().AsTask().IsCompletedSuccessfully);
    }

    [Test]
    public void Several_signals_are_one()
    {
        _signal.Set();
        _signal.Set();
        Assert.That(_signal.WaitAsync().AsTask().IsCompletedSuccessfully);
        Assert.That(_signal.WaitAsync().AsTask().IsCompleted, Is.False);
    }

    [Test]
    public async Task A_waiter_is_woken_and_takes_the_signal()
    {
        Task wait = _signal.WaitAsync().AsTask();
        Assert.That(wait.IsCompleted, Is.False);
        _signal.Set();
        await wait;
        Assert.That(_signal.WaitAsync().AsTask().IsCompleted, Is.False);
    }

    [Test]
    public async Task The_waiter_does_not_run_inside_the_call_that_wakes_it()
    {
        Thread? woken = null;
        Task waiter = Wait();
        var setter = new Thread(_signal.Set);
        setter.Start();
        setter.Join();
        await waiter;
        Assert.That(woken, Is.Not.SameAs(setter));

        async Task Wait()
        {
            await _signal.WaitAsync();
            woken = Thread.CurrentThread;
        }
    }

    [Test]
    public async Task Of_many_threads_signals_none_is_lost()
    {
        const int Total = 20_000;
        int produced = 0;
        int consumed = 0;
        Task consumer = Task.Run(async () =>
        {
            while (consumed < Total)
            {
                await _signal.WaitAsync();
                consumed = Volatile.Read(ref produced);
            }
        });
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < Total / 4; i++)
            {
                Interlocked.Increment(ref produced);
                _signal.Set();
            }
        })));
        await consumer;
        Assert.That(consumed, Is.EqualTo(Total));
    }

    [Test]
    public async Task Waiting_and_signalling_allocate_nothing()
    {
        long few = await BytesAllocatedBy(100);
        long many = await BytesAllocatedBy(10_000);
        Assert.That(many, Is.EqualTo(few));
    }

    private async Task<long> BytesAllocatedBy(int times)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        await Exchange(times);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private async Task Exchange(int times)
    {
        for (int i = 0; i < times; i++)
        {
            _signal.Set();
            await _signal.WaitAsync();
        }
    }
}
