using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The way for callers to generate text on a <see cref="ContinuousBatchScheduler"/>: whole, streamed, or many at once. Thread-safe.</summary>
/// <remarks>Requests may be made before the scheduler starts; they wait for it. Disposing a client does not stop its scheduler.</remarks>
public sealed partial class ContinuousBatchSchedulerClient : IDisposable
{
    private readonly ContinuousBatchScheduler _scheduler;
    private readonly SchedulerApiClientConfiguration _configuration;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _enqueueing;
    private readonly ClientStatistics? _statistics;
    private bool _isDisposed;

    /// <summary>Makes a client.</summary>
    /// <param name="scheduler">The scheduler to generate on.</param>
    /// <param name="configuration">How the client behaves.</param>
    /// <param name="logger">Where it logs.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A member of the configuration is out of its range.</exception>
    public ContinuousBatchSchedulerClient(ContinuousBatchScheduler scheduler, SchedulerApiClientConfiguration configuration, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(scheduler);
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentNullException.ThrowIfNull(logger);
        configuration.Validate();
        _scheduler = scheduler;
        _configuration = configuration;
        _logger = logger;
        _time = scheduler.TimeProvider;
        _enqueueing = new SemaphoreSlim(configuration.MaxConcurrentEnqueue);
        if (configuration.EnableStatisticsCollection)
        {
            _statistics = new ClientStatistics(_time);
        }

        _scheduler.RequestEnded += OnEnded;
    }

    /// <summary>Generates a response and returns its text.</summary>
    /// <param name="prompt">The text to continue; not empty.</param>
    /// <param name="maxTokens">Most tokens to generate, at least 1.</param>
    /// <param name="cancellationToken">Cancels the request wherever it is.</param>
    /// <param name="priority">Class of service.</param>
    /// <param name="options">How to generate; null for the defaults.</param>
    /// <returns>The text.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="prompt"/> is null.</exception>
    /// <exception cref="ArgumentException">The prompt is empty or too long, no tokens are asked for, or an option is out of its range.</exception>
    /// <exception cref="RequestRejectedException">The scheduler refused the request; the reason says why.</exception>
    /// <exception cref="OperationCanceledException">The request was cancelled, or the scheduler stopped before it had finished.</exception>
    /// <exception cref="TimeoutException">Its deadline or time limit passed.</exception>
    public async Task<string> GenerateTextAsync(
        string prompt,
        int maxTokens = 256,
        CancellationToken cancellationToken = default,
        Priority priority = Priority.Normal,
        GenerationOptions? options = null)
    {
        Request request = NewRequest(prompt, maxTokens, priority, options, metadata: null, cancellationToken);
        return await EnqueueAsync(request, priority).ConfigureAwait(false);
    }

    /// <summary>Generates a response and returns it with its times and counts.</summary>
    /// <param name="prompt">The text to continue; not empty.</param>
    /// <param name="maxTokens">Most tokens to generate; null for <see cref="SchedulerApiClientConfiguration.DefaultMaxTokens"/>.</param>
    /// <param name="options">How to generate; null for the defaults.</param>
    /// <param name="priority">Class of service.</param>
    /// <param name="cancellationToken">Cancels the request wherever it is.</param>
    /// <returns>The result of a request that ended with a response. One that did not throws as <see cref="GenerateTextAsync"/> does.</returns>
    /// <inheritdoc cref="GenerateTextAsync" path="/exception"/>
    public async Task<GenerationResult> GenerateAsync(
        string prompt,
        int? maxTokens = null,
        GenerationOptions? options = null,
        Priority priority = Priority.Normal,
        CancellationToken cancellationToken = default)
    {
        Request request = NewRequest(prompt, maxTokens ?? _configuration.DefaultMaxTokens, priority, options, metadata: null, cancellationToken);
        await EnqueueAsync(request, priority).ConfigureAwait(false);
        return GenerationResult.Of(request, request.Result!);
    }

    /// <summary>Generates several responses to one prompt, which is computed once: the samples share its KV blocks.</summary>
    /// <param name="prompt">The text to continue; not empty.</param>
    /// <param name="count">Number of responses, at least 1.</param>
    /// <param name="maxTokens">Most tokens of each; null for <see cref="SchedulerApiClientConfiguration.DefaultMaxTokens"/>.</param>
    /// <param name="options">How to generate; with a seed, sample i differs from the others by its index.</param>
    /// <param name="priority">Class of service.</param>
    /// <param name="cancellationToken">Cancels all of them.</param>
    /// <returns>The results in the order of their sample index; one that failed or was refused carries its error.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="prompt"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is less than 1.</exception>
    public async Task<List<GenerationResult>> GenerateSamplesAsync(
        string prompt,
        int count,
        int? maxTokens = null,
        GenerationOptions? options = null,
        Priority priority = Priority.Normal,
        CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        int most = maxTokens ?? _configuration.DefaultMaxTokens;
        Request first = NewRequest(prompt, most, priority, options, metadata: null, cancellationToken);
        Task<Task<string>> admission = AdmitAsync(first, priority);
        var running = new List<Task<GenerationResult>>(count) { EndOfAsync(first, admission) };
        await ((Task)admission).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        for (int i = 1; i < count; i++)
        {
            // A first sample that was refused leaves nothing to share: the refusal holds for all.
            Request sample = new(RequestId.New(), prompt, most, cancellationToken, priority, _time)
            {
                Options = options,
                SampleIndex = i,
                FirstSample = first.Sequence is null ? null : first,
            };
            running.Add(EndOfAsync(sample, AdmitAsync(sample, priority)));
        }

        return [.. await Task.WhenAll(running).ConfigureAwait(false)];
    }

    /// <summary>Generates a response and hands it out as it grows.</summary>
    /// <param name="prompt">The text to continue; not empty.</param>
    /// <param name="maxTokens">Most tokens to generate; null for <see cref="SchedulerApiClientConfiguration.DefaultMaxTokens"/>.</param>
    /// <param name="options">How to generate; null for the defaults.</param>
    /// <param name="priority">Class of service.</param>
    /// <param name="cancellationToken">Cancels the request wherever it is. Leaving the enumeration early does, too.</param>
    /// <returns>Chunks of text with token ids; the last carries the reason and the whole result.</returns>
    /// <remarks>A slow reader gets larger chunks; it never holds up the engine. Exceptions come out of the enumeration.</remarks>
    /// <inheritdoc cref="GenerateTextAsync" path="/exception"/>
    public IAsyncEnumerable<GenerationChunk> StreamTextAsync(
        string prompt,
        int? maxTokens = null,
        GenerationOptions? options = null,
        Priority priority = Priority.Normal,
        CancellationToken cancellationToken = default)
    {
        Request request = NewRequest(prompt, maxTokens ?? _configuration.DefaultMaxTokens, priority, options, metadata: null, cancellationToken);
        return StreamAsync(request, priority, cancellationToken);
    }

    /// <summary>Generates for a request of the caller's own making and hands the response out as it grows.</summary>
    /// <param name="request">The request; it serves once.</param>
    /// <param name="priority">Its class, if higher than its own.</param>
    /// <param name="cancellationToken">Cancels the request. Leaving the enumeration early does, too.</param>
    /// <returns>Chunks of text with token ids; the last carries the reason and the whole result.</returns>
    /// <inheritdoc cref="GenerateTextAsync" path="/exception"/>
    public async IAsyncEnumerable<GenerationChunk> StreamAsync(
        Request request,
        Priority priority = Priority.Normal,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Stream is not null || request.Sequence is not null)
        {
            throw new ArgumentException($"Request {request.Id} was enqueued before; a Request serves once, make a new one.", nameof(request));
        }

        var stream = new TokenStream();
        request.Stream = stream;
        Task<string> response = EnqueueAsync(request, priority);
        using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
            static state =>
            {
                var (client, request) = ((ContinuousBatchSchedulerClient, Request))state!;
                client._scheduler.TryCancel(request.Id);
            },
            (this, request));
        bool isWhole = false;
        try
        {
            var reader = new ChunkReader(request, _scheduler.Detector);
            while (await stream.Reader.WaitToReadAsync(CancellationToken.None).ConfigureAwait(false))
            {
                if (reader.Read(stream.Reader) is { } chunk)
                {
                    yield return chunk;
                }
            }

            await response.ConfigureAwait(false);
            isWhole = true;
            yield return reader.Last(request.Result!);
        }
        finally
        {
            if (!isWhole)
            {
                _scheduler.TryCancel(request.Id);
            }
        }
    }

    /// <summary>Generates for a request of the caller's own making.</summary>
    /// <param name="request">The request; it serves once.</param>
    /// <param name="priority">Its class, if higher than its own.</param>
    /// <returns>The text.</returns>
    /// <inheritdoc cref="GenerateTextAsync" path="/exception"/>
    public Task<string> EnqueueRequestAsync(Request request, Priority priority = Priority.Normal)
    {
        ArgumentNullException.ThrowIfNull(request);
        return EnqueueAsync(request, priority);
    }

    /// <summary>Generates many responses at once.</summary>
    /// <param name="requests">What to generate.</param>
    /// <param name="cancellationToken">Cancels all of them.</param>
    /// <returns>The results in the order of the requests. Each request succeeds or fails alone: a failed one carries its id, the reason and the error.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="requests"/> or one of them is null.</exception>
    public async Task<List<GenerationResult>> GenerateBatchAsync(List<GenerationRequest> requests, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_configuration.EnableRequestLogging && requests.Count > 0)
        {
            LogBatch(_logger, requests.Count);
        }

        if (requests.Contains(null!))
        {
            throw new ArgumentNullException(nameof(requests), "A request of the batch is null; nothing of the batch was started.");
        }

        List<Task<GenerationResult>> running = requests.ConvertAll(request => GenerateOneAsync(request, cancellationToken));
        return [.. await Task.WhenAll(running).ConfigureAwait(false)];
    }

    /// <summary>The scheduler at this moment.</summary>
    public SchedulerStatus GetStatus() => new(
        _scheduler.IsRunning,
        _scheduler.ActiveRequestCount,
        _scheduler.QueuedRequestCount,
        _scheduler.Totals.Completed,
        _scheduler.ComputeUtilization(),
        _scheduler.MemoryUtilization(),
        _time.GetUtcNow().UtcDateTime);

    /// <summary>What was measured since the client was made, over all requests of its scheduler.</summary>
    /// <exception cref="InvalidOperationException">Collection is switched off.</exception>
    public SchedulerStatistics GetStatistics() =>
        _statistics?.Read(_scheduler.MeanBatchUtilization)
        ?? throw new InvalidOperationException("Statistics are not collected; set SchedulerApiClientConfiguration.EnableStatisticsCollection.");

    /// <summary>Cancels a request, wherever it is.</summary>
    /// <param name="requestId">Which request.</param>
    /// <returns>True only if this call is what ends it: false for an unknown id, one that has ended, or one already cancelled.</returns>
    public bool CancelRequest(RequestId requestId)
    {
        bool cancelled = _scheduler.TryCancel(requestId);
        if (_configuration.EnableRequestLogging)
        {
            LogCancel(_logger, requestId, cancelled);
        }

        return cancelled;
    }

    /// <summary>Cancels every request that waits or runs, of all clients.</summary>
    /// <returns>How many this call ends.</returns>
    public int CancelAllRequests()
    {
        int cancelled = _scheduler.CancelAll();
        if (_configuration.EnableRequestLogging)
        {
            LogCancelAll(_logger, cancelled);
        }

        return cancelled;
    }

    /// <summary>Estimates how long a request made now would wait for its first iteration.</summary>
    /// <param name="priority">Its class.</param>
    /// <returns>The wait, or null while too little was measured to tell.</returns>
    public TimeSpan? EstimateWaitTime(Priority priority = Priority.Normal)
    {
        RequestQueue.CheckPriority(priority);
        return _scheduler.EstimateWaitTime(priority);
    }

    /// <summary>Refuses further calls; requests under way go on.</summary>
    public void Dispose()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            _scheduler.RequestEnded -= OnEnded;
        }
    }

    private Request NewRequest(
        string prompt, int maxTokens, Priority priority, GenerationOptions? options, Dictionary<string, object>? metadata, CancellationToken cancellationToken) =>
        new(RequestId.New(), prompt, maxTokens, cancellationToken, priority, _time) { Options = options, Metadata = metadata };

    private async Task<string> EnqueueAsync(Request request, Priority priority)
    {
        try
        {
            Task<string> response = await AdmitAsync(request, priority).ConfigureAwait(false);
            return await response.ConfigureAwait(false);
        }
        catch
        {
            // Of a request that was not accepted nobody else will tell its reader.
            request.Stream?.Complete();
            throw;
        }
    }

    /// <summary>Waits for its turn and enqueues the request.</summary>
    /// <returns>The task of its response.</returns>
    private async Task<Task<string>> AdmitAsync(Request request, Priority priority)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        RequestQueue.CheckPriority(priority);
        await _enqueueing.WaitAsync(request.CancellationToken).ConfigureAwait(false);
        try
        {
            request.DefaultTimeLimit = TimeLimitOf(request, priority);
            if (_configuration.EnableRequestLogging)
            {
                LogRequest(_logger, request.Id, request.Prompt.Length, request.MaxTokens, priority);
            }

            return _scheduler.EnqueueAsync(request, priority);
        }
        finally
        {
            _enqueueing.Release();
        }
    }

    private TimeSpan? TimeLimitOf(Request request, Priority priority)
    {
        if (request.Deadline is not null || request.Options?.TimeLimit is not null || request.MaxTokens <= 0)
        {
            return null;
        }

        if (_scheduler.EstimateWaitTime(priority) is not { } wait || _scheduler.EstimateServiceTime(request.MaxTokens) is not { } service)
        {
            return null;
        }

        double seconds = (wait + service).TotalSeconds * _configuration.TimeoutMultiplier;
        return TimeSpan.FromSeconds(Math.Clamp(seconds, SchedulerApiClientConfiguration.LeastTimeLimit.TotalSeconds, TimeSpan.FromDays(1000).TotalSeconds));
    }

    private async Task<GenerationResult> GenerateOneAsync(GenerationRequest wanted, CancellationToken all)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(wanted.CancellationToken, all);
        Request request = NewRequest(wanted.Prompt ?? string.Empty, wanted.MaxTokens, wanted.Priority, wanted.Options, wanted.Metadata, either.Token);
        return await EndOfAsync(request, AdmitAsync(request, wanted.Priority)).ConfigureAwait(false);
    }

    /// <summary>The request's result, however it ends: its error is in the result, not thrown.</summary>
    private static async Task<GenerationResult> EndOfAsync(Request request, Task<Task<string>> admission)
    {
        try
        {
            Task<string> response = await admission.ConfigureAwait(false);
            await response.ConfigureAwait(false);
        }
        catch (Exception e) when (request.Result is null)
        {
            return GenerationResult.Refused(request, e);
        }
        catch (Exception) when (request.Result is { } ended && (ended.Exception is not null || ended.Reason == CompletionReason.Cancelled))
        {
            // Told by the result.
        }

        return GenerationResult.Of(request, request.Result!);
    }

    private void OnEnded(Request request, RequestResult result)
    {
        _statistics?.Record(result);
        if (!_configuration.EnableRequestLogging)
        {
            return;
        }

        if (result.Exception is { } error)
        {
            LogFailed(_logger, request.Id, result.Reason, error);
        }
        else
        {
            LogEnded(_logger, request.Id, result.Reason, result.TokensGenerated, result.TotalTime.TotalMilliseconds);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Request {RequestId}: prompt of {PromptLength} characters, at most {MaxTokens} tokens, priority {Priority}")]
    private static partial void LogRequest(ILogger logger, RequestId requestId, int promptLength, int maxTokens, Priority priority);

    [LoggerMessage(Level = LogLevel.Information, Message = "Enqueueing a batch of {Count} requests")]
    private static partial void LogBatch(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Information, Message = "Request {RequestId} ended ({Reason}) with {Tokens} tokens after {Milliseconds} ms")]
    private static partial void LogEnded(ILogger logger, RequestId requestId, CompletionReason reason, int tokens, double milliseconds);

    [LoggerMessage(Level = LogLevel.Error, Message = "Request {RequestId} failed ({Reason})")]
    private static partial void LogFailed(ILogger logger, RequestId requestId, CompletionReason reason, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Cancelling request {RequestId}: {Cancelled}")]
    private static partial void LogCancel(ILogger logger, RequestId requestId, bool cancelled);

    [LoggerMessage(Level = LogLevel.Information, Message = "Cancelled all {Count} requests")]
    private static partial void LogCancelAll(ILogger logger, int count);
}
