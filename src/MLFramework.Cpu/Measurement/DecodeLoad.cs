using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>Requests that decode together, step by step.</summary>
public sealed class DecodeLoad : IDisposable
{
    private readonly EngineBenchmark _benchmark;
    private readonly CancellationTokenSource _end = new();
    private readonly Request[] _requests;
    private int _stepsLeft;
    private bool _isDisposed;

    /// <summary>Starts requests whose prompts are in the prefix cache, but for their last blocks.</summary>
    internal DecodeLoad(EngineBenchmark benchmark, int[][] prompts, int steps)
    {
        (_benchmark, _stepsLeft) = (benchmark, steps);
        _requests = [.. prompts.Select(prompt => benchmark.Enqueue(prompt, steps + 1, _end.Token))];
        int tokens = benchmark.Iterate(_requests).PrefillTokens;
        if (Array.Exists(_requests, request => request.GeneratedTokens != 1))
            throw new InvalidOperationException($"{_requests.Length} requests did not start in one step; {tokens} tokens of their prompts were computed.");
    }

    /// <summary>Requests of the batch.</summary>
    public int BatchSize => _requests.Length;

    /// <summary>Managed bytes that the steps so far allocated on the thread that computes with the executor's own.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>Decodes one token of every request.</summary>
    /// <returns>Time that the executor took.</returns>
    /// <exception cref="InvalidOperationException">The sequences are as long as they may be, or the engine failed.</exception>
    public TimeSpan Step()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_stepsLeft-- <= 0) throw new InvalidOperationException("The sequences are as long as the benchmark allows.");
        TimedExecutor step = _benchmark.Iterate(_requests);
        AllocatedBytes += step.AllocatedBytes;
        return step.Decodes == BatchSize && step.PrefillTokens == 0
            ? step.Duration
            : throw new InvalidOperationException($"The step decoded {step.Decodes} of {BatchSize} requests and {step.PrefillTokens} tokens of prompts.");
    }

    /// <summary>Ends the requests.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _end.Cancel();
        _benchmark.End(this);
        _end.Dispose();
    }
}
