namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Runs a loop, and what it posts, on one background thread that ends with it.</summary>
internal sealed class DedicatedThreadHost : SchedulerLoopHost
{
    private static readonly TimeSpan LongestJoin = TimeSpan.FromSeconds(5);

    public override Task Run(Func<Task> loop)
    {
        ArgumentNullException.ThrowIfNull(loop);
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() => RunToEnd(loop, done)) { IsBackground = true, Name = "MLFramework scheduler" };
        thread.Start();
        return done.Task;
    }

    /// <summary>Waits for the loop, unless called from the loop itself; a model that does not end keeps nobody longer than this.</summary>
    public override void Join(Task loop)
    {
        if (SynchronizationContext.Current is not Pump)
        {
            ((IAsyncResult)loop).AsyncWaitHandle.WaitOne(LongestJoin);
        }
    }

    private static void RunToEnd(Func<Task> loop, TaskCompletionSource done)
    {
        var context = new Pump();
        SynchronizationContext.SetSynchronizationContext(context);
        Task task;
        try
        {
            task = loop();
        }
        catch (Exception e)
        {
            done.SetException(e);
            return;
        }

        task.ContinueWith(_ => context.Close(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        context.RunUntilClosed();
        done.SetFromTask(task);
    }

    private sealed class Pump : SynchronizationContext
    {
        private readonly object _lock = new();
        private readonly Queue<(SendOrPostCallback Callback, object? State)> _posted = new();
        private bool _closed;

        public override void Post(SendOrPostCallback d, object? state)
        {
            lock (_lock)
            {
                _posted.Enqueue((d, state));
                Monitor.Pulse(_lock);
            }
        }

        public override void Send(SendOrPostCallback d, object? state) =>
            throw new NotSupportedException("The scheduler's thread is not to be blocked on; post to it.");

        public override SynchronizationContext CreateCopy() => this;

        public void Close()
        {
            lock (_lock)
            {
                _closed = true;
                Monitor.Pulse(_lock);
            }
        }

        public void RunUntilClosed()
        {
            while (Next() is { } item)
            {
                item.Callback(item.State);
            }
        }

        private (SendOrPostCallback Callback, object? State)? Next()
        {
            lock (_lock)
            {
                while (_posted.Count == 0)
                {
                    if (_closed)
                    {
                        return null;
                    }

                    Monitor.Wait(_lock);
                }

                return _posted.Dequeue();
            }
        }
    }
}
