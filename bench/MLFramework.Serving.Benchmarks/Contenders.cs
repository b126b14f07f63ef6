using System.Threading.Channels;

namespace MLFramework.Serving.Benchmarks;

/// <summary>The library.</summary>
internal sealed class DynamicBatcherContender(BatchingConfiguration configuration, BatchProcessor<int, int> processor) : IContender
{
    private readonly DynamicBatcher<int, int> _batcher = new(configuration, processor);

    public string Name => "DynamicBatcher";

    public double MeanBatchSize => _batcher.GetStatistics().BatchSizes.Mean;

    public Task<int> ProcessAsync(int request) => _batcher.ProcessAsync(request);

    public ValueTask DisposeAsync() => _batcher.DisposeAsync();
}

/// <summary>What one writes without the library: a channel, one consumer that takes what is there, a completion source for each request.</summary>
internal sealed class ChannelLoopContender : IContender
{
    private readonly Channel<(int Request, TaskCompletionSource<int> Response)> _channel;
    private readonly Task _consumer;
    private long _requests;
    private long _batches;

    public ChannelLoopContender(int capacity, int maxBatchSize, BatchProcessor<int, int> processor)
    {
        _channel = Channel.CreateBounded<(int, TaskCompletionSource<int>)>(new BoundedChannelOptions(capacity) { SingleReader = true });
        _consumer = Task.Run(async () =>
        {
            while (await _channel.Reader.WaitToReadAsync())
            {
                var requests = new List<int>(maxBatchSize);
                var responses = new List<TaskCompletionSource<int>>(maxBatchSize);
                while (requests.Count < maxBatchSize && _channel.Reader.TryRead(out (int Request, TaskCompletionSource<int> Response) item))
                {
                    requests.Add(item.Request);
                    responses.Add(item.Response);
                }

                List<int> results = await processor(requests);
                for (int i = 0; i < results.Count; i++)
                {
                    responses[i].SetResult(results[i]);
                }

                _requests += requests.Count;
                _batches++;
            }
        });
    }

    public string Name => "Channel loop";

    public double MeanBatchSize => (double)_requests / Math.Max(1, _batches);

    public async Task<int> ProcessAsync(int request)
    {
        var response = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        await _channel.Writer.WriteAsync((request, response));
        return await response.Task;
    }

    public async ValueTask DisposeAsync()
    {
        _channel.Writer.Complete();
        await _consumer;
    }
}

/// <summary>No batching: each request is a batch of one.</summary>
internal sealed class UnbatchedContender(BatchProcessor<int, int> processor) : IContender
{
    public string Name => "Unbatched";

    public double MeanBatchSize => 1;

    public async Task<int> ProcessAsync(int request) => (await processor([request]))[0];

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
