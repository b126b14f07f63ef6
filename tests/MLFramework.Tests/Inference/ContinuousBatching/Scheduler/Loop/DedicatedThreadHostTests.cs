using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Loop;

public class DedicatedThreadHostTests
{
    private readonly SchedulerLoopHost _host = SchedulerLoopHost.DedicatedThread;

    [Test]
    public async Task The_loop_and_all_its_continuations_run_on_one_thread_of_their_own()
    {
        var threads = new List<Thread>();
        bool isOfThePool = true;
        await _host.Run(async () =>
        {
            isOfThePool = Thread.CurrentThread.IsThreadPoolThread || !Thread.CurrentThread.IsBackground;
            for (int i = 0; i < 20; i++)
            {
                threads.Add(Thread.CurrentThread);
                await Task.Yield();
                threads.Add(Thread.CurrentThread);
                await Task.Run(() => { });
            }
        });
        Assert.That(threads.Distinct().ToList(), Has.Count.EqualTo(1));
        Assert.That(isOfThePool, Is.False);
        Assert.That(threads[0].Name, Is.EqualTo("MLFramework scheduler"));
    }

    [Test]
    public async Task A_loop_that_fails_fails_the_task()
    {
        await Assert.ThatAsync(() => _host.Run(() => throw new InvalidDataException()), Throws.TypeOf<InvalidDataException>());
        await Assert.ThatAsync(
            () => _host.Run(async () =>
            {
                await Task.Yield();
                throw new InvalidDataException();
            }),
            Throws.TypeOf<InvalidDataException>());
    }

    [Test]
    public async Task Joining_waits_for_the_loop_unless_it_is_the_loop_that_joins()
    {
        var release = new TaskCompletionSource();
        bool ended = false;
        Task? loop = null;
        var started = new TaskCompletionSource();
        loop = _host.Run(async () =>
        {
            await started.Task;
            _host.Join(loop!);
            await release.Task;
            ended = true;
        });
        started.SetResult();
        release.SetResult();
        _host.Join(loop);
        Assert.That(ended);
        await loop;
    }

    [Test]
    public async Task Blocking_on_the_loops_thread_is_refused()
    {
        Exception? error = null;
        await _host.Run(() =>
        {
            error = Assert.Catch(() => SynchronizationContext.Current!.Send(_ => { }, null));
            return Task.CompletedTask;
        });
        Assert.That(error, Is.TypeOf<NotSupportedException>());
    }
}
