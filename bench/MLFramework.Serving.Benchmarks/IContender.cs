namespace MLFramework.Serving.Benchmarks;

/// <summary>A way to get a response for a request: with batches or without.</summary>
internal interface IContender : IAsyncDisposable
{
    string Name { get; }

    Task<int> ProcessAsync(int request);

    /// <summary>Requests a batch so far, on average.</summary>
    double MeanBatchSize { get; }
}
