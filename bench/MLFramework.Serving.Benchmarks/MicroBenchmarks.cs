using BenchmarkDotNet.Attributes;

namespace MLFramework.Serving.Benchmarks;

/// <summary>Sixty-four requests at once through each contender, with a no-op processor; results are per request.</summary>
[MemoryDiagnoser]
[ShortRunJob]
public class BatchOf64
{
    private const int Requests = 64;

    private readonly Task<int>[] _responses = new Task<int>[Requests];
    private IContender _contender = null!;

    /// <summary>Which way a request takes.</summary>
    [Params("DynamicBatcher", "Channel loop", "Unbatched")]
    public string Contender { get; set; } = "";

    /// <summary>Makes the contender.</summary>
    [GlobalSetup]
    public void Setup() => _contender = Contender switch
    {
        "DynamicBatcher" => new DynamicBatcherContender(new BatchingConfiguration { MaxBatchSize = Requests, PreferBatchSize = Requests, MaxConcurrentBatches = 1 }, Task.FromResult),
        "Channel loop" => new ChannelLoopContender(100, Requests, Task.FromResult),
        _ => new UnbatchedContender(Task.FromResult),
    };

    /// <summary>Stops the contender.</summary>
    [GlobalCleanup]
    public async Task CleanupAsync() => await _contender.DisposeAsync();

    /// <summary>Submits a batch and awaits its responses.</summary>
    [Benchmark(OperationsPerInvoke = Requests)]
    public async Task<int> RoundTrip()
    {
        for (int i = 0; i < Requests; i++)
        {
            _responses[i] = _contender.ProcessAsync(i);
        }

        int sum = 0;
        foreach (Task<int> response in _responses)
        {
            sum += await response;
        }

        return sum;
    }
}
