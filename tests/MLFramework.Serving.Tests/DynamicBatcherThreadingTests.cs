namespace MLFramework.Serving.Tests;

/// <summary>The real thread pool and clock: what a simulation on one thread cannot show.</summary>
public class DynamicBatcherThreadingTests
{
    [Test, CancelAfter(60_000)]
    public async Task Callers_on_many_threads_that_cancel_at_random_get_their_own_response_or_their_cancellation(CancellationToken testTimeout)
    {
        var configuration = new BatchingConfiguration { MaxBatchSize = 16, PreferBatchSize = 8, MaxQueueSize = 1000, MaxWaitTime = TimeSpan.FromMilliseconds(1), PreserveOrder = true };
        int answered = 0;
        int cancelled = 0;
        var batcher = new DynamicBatcher<int, string>(configuration, async requests =>
        {
            await Task.Yield();
            return requests.ConvertAll(FakeProcessor.Of);
        });
        await Task.WhenAll(Enumerable.Range(0, 32).Select(caller => Task.Run(
            async () =>
            {
                var random = new Random(caller);
                for (int i = 0; i < 300; i++)
                {
                    int request = (caller * 1000) + i;
                    using var cancellation = new CancellationTokenSource();
                    Task<string> response = batcher.ProcessAsync(request, cancellation.Token);
                    if (random.Next(4) == 0)
                    {
                        await Task.Yield();
                        cancellation.Cancel();
                    }

                    try
                    {
                        Assert.That(await response.WaitAsync(testTimeout), Is.EqualTo(FakeProcessor.Of(request)));
                        Interlocked.Increment(ref answered);
                    }
                    catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
                    {
                        Interlocked.Increment(ref cancelled);
                    }
                }
            },
            testTimeout)));
        await batcher.DisposeAsync();
        Assert.That(answered + cancelled, Is.EqualTo(32 * 300));
        Assert.That(batcher.GetStatistics(), Has.Property("CompletedRequests").EqualTo(answered).And.Property("CancelledRequests").EqualTo(cancelled).And.Property("CurrentQueueSize").EqualTo(0));
    }

    [Test, CancelAfter(60_000)]
    public async Task Disposal_among_running_callers_loses_nobody([Values] bool drain, CancellationToken testTimeout)
    {
        for (int round = 0; round < 50; round++)
        {
            var batcher = new DynamicBatcher<int, string>(new BatchingConfiguration { MaxBatchSize = 4, PreferBatchSize = 2 }, requests => Task.FromResult(requests.ConvertAll(FakeProcessor.Of)));
            Task[] callers = [.. Enumerable.Range(0, 8).Select(caller => Task.Run(
                async () =>
                {
                    try
                    {
                        while (await batcher.ProcessAsync(caller) == FakeProcessor.Of(caller))
                        {
                        }

                        Assert.Fail("A response went to the wrong caller.");
                    }
                    catch (Exception e) when (e is ObjectDisposedException or OperationCanceledException)
                    {
                    }
                },
                testTimeout))];
            await batcher.ProcessAsync(99, testTimeout);
            if (drain)
            {
                await batcher.DisposeAsync().AsTask().WaitAsync(testTimeout);
            }
            else
            {
                batcher.Dispose();
            }

            await Task.WhenAll(callers).WaitAsync(testTimeout);
        }
    }
}
