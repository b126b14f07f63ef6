using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Scenarios;

/// <summary>
/// The integration scenarios of the specification, for any model and any clock: text goes in through the client, and everything between it and the model
/// is real.
/// </summary>
public abstract class IntegrationScenarios
{
    private protected const string CapitalPrompt = "The capital of France is";

    private static readonly GenerationOptions s_greedy = GenerationOptions.Default with { Temperature = 0 };
    private static readonly GenerationOptions s_endless = s_greedy with { IgnoreEos = true };
    private static readonly GenerationOptions s_sampled = GenerationOptions.Default with { Seed = 11 };

    private readonly ConcurrentQueue<Request> _ended = new();
    private readonly ConcurrentQueue<double> _memoryPercents = new();

    private ScenarioModel _model = null!;
    private ObservedExecutor _executor = null!;
    private PagedKVCacheManager _kvCacheManager = null!;
    private RequestQueue _requestQueue = null!;
    private CapacityManager _capacityManager = null!;
    private SchedulerMetricsCollector _metricsCollector = null!;
    private ContinuousBatchSchedulerClient _client = null!;

    private protected ContinuousBatchScheduler Scheduler { get; private set; } = null!;

    /// <summary>The clock of all parts.</summary>
    private protected abstract TimeProvider Clock { get; }

    /// <summary>Where the loop runs; null for a thread of its own.</summary>
    private protected virtual SchedulerLoopHost? LoopHost => null;

    /// <summary>The least share of the true throughput that the collector reports: a clock that others' work moves on guarantees nothing.</summary>
    private protected virtual double LeastShareOfThroughput => 0;

    /// <summary>Called on the loop's thread after each iteration.</summary>
    private protected virtual Action? AfterIteration => null;

    private IEnumerable<RequestResult> Results => _ended.Select(request => request.Result!);

    private IEnumerable<string> CompletionOrder => _ended.Select(request => request.Prompt);

    [SetUp]
    public void Setup()
    {
        _model = CreateModel();
        Assemble(new BatchConstraints(MaxBatchSize: 8, MaxMemoryBytes: 1L * 1024 * 1024 * 1024, MinBatchSize: 2, MaxSequenceLength: _model.ContextLength));
    }

    [TearDown]
    public async Task TearDown()
    {
        if (Scheduler.IsRunning)
        {
            await StopAsync();
        }

        DisposeParts();
        _model.Dispose();
    }

    // ---- Full request lifecycle ----

    [Test]
    public async Task SingleRequest_GeneratesTextAndCompletes()
    {
        Task<string> task = _client.GenerateTextAsync(CapitalPrompt, 10, options: s_greedy);
        Scheduler.Start();
        string result = await EndOfAsync(task);
        await StopAsync();

        Assert.That(result, Does.Contain("Paris").And.EqualTo(_model.CapitalAnswer));
    }

    [Test]
    public async Task MultipleSequentialRequests_AllComplete()
    {
        var prompts = new List<string> { "The sky is", "The sun is", "The moon is" };
        var results = new List<string>();

        Scheduler.Start();
        foreach (string prompt in prompts)
        {
            results.Add(await EndOfAsync(_client.GenerateTextAsync(prompt, options: s_sampled)));
        }

        await StopAsync();

        Assert.That(results, Has.Count.EqualTo(3));
        Assert.That(results, Is.Unique, "Each answers its own prompt.");
        Assert.That(Results.Select(r => r.Reason), Is.All.EqualTo(CompletionReason.EosTokenReached).Or.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public async Task MultipleConcurrentRequests_AllComplete()
    {
        const int RequestCount = 20;
        List<Task<string>> tasks = [.. Enumerable.Range(0, RequestCount).Select(i => _client.GenerateTextAsync($"Generate text {i}", options: s_sampled))];

        Scheduler.Start();
        string[] results = await EndOfAsync(Task.WhenAll(tasks));
        await StopAsync();

        Assert.That(results, Has.Length.EqualTo(RequestCount));
        Assert.That(_ended, Has.Count.EqualTo(RequestCount));
        Assert.That(_executor.BatchSizes.Max(), Is.EqualTo(8), "They shared their steps.");
    }

    // ---- Batch dynamics ----

    [Test]
    public async Task DynamicBatch_AddsAndRemovesRequestsCorrectly()
    {
        Task<string> shortRequestTask = _client.GenerateTextAsync("Short", maxTokens: 5, options: s_endless);
        Task<string> longRequestTask = _client.GenerateTextAsync("Long", maxTokens: 50, options: s_endless);

        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(shortRequestTask, longRequestTask));
        await StopAsync();

        Assert.That(CompletionOrder, Is.EqualTo(new[] { "Short", "Long" }));
        Assert.That(Results.Select(r => r.TokensGenerated), Is.EqualTo(new[] { 5, 50 }));
        Assert.That(_executor.BatchSizes, Is.EqualTo(Enumerable.Repeat(2, 5).Concat(Enumerable.Repeat(1, 45))), "The short one left when it was done.");
    }

    [Test]
    public async Task BatchSize_RespectsMaxBatchSize()
    {
        const int MaxBatchSize = 4;
        Reassemble(new BatchConstraints(MaxBatchSize: MaxBatchSize, MinBatchSize: 2, MaxSequenceLength: _model.ContextLength));
        List<Task<string>> requests = [.. Enumerable.Range(0, 10).Select(i => _client.GenerateTextAsync($"Request {i}", options: s_sampled))];

        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(requests));
        await StopAsync();

        BatchStatistics stats = _metricsCollector.GetBatchStatistics();
        Assert.That(stats.MaxBatchSize, Is.EqualTo(MaxBatchSize), "Reached, and never exceeded.");
        Assert.That(_executor.BatchSizes.Max(), Is.EqualTo(MaxBatchSize));
    }

    // ---- Completion detection ----

    [Test]
    public async Task Request_CompletesOnEosToken()
    {
        Task<string> task = _client.GenerateTextAsync(_model.Ending.Prompt, 100, options: s_greedy);
        Scheduler.Start();
        string result = await EndOfAsync(task);
        await StopAsync();

        Assert.That(result, Is.EqualTo(_model.Ending.Answer), "The end token yields no text.");
        RequestResult ended = Results.Single();
        Assert.That((ended.Reason, ended.TokensGenerated), Is.EqualTo((CompletionReason.EosTokenReached, _model.Ending.Tokens)));
    }

    [Test]
    public async Task Request_CompletesOnMaxTokens()
    {
        const int MaxTokens = 10;

        Task<string> task = _client.GenerateTextAsync("Generate text", MaxTokens, options: s_endless);
        Scheduler.Start();
        string result = await EndOfAsync(task);
        await StopAsync();

        Request request = _ended.Single();
        Assert.That((request.Result!.Reason, request.Result.TokensGenerated), Is.EqualTo((CompletionReason.MaxTokensReached, MaxTokens)));
        Assert.That(request.GeneratedTokenIds, Has.Count.EqualTo(MaxTokens));
        Assert.That(result, Is.Not.Empty.And.EqualTo(_model.Tokenizer.Decode([.. request.GeneratedTokenIds])));
    }

    [Test]
    public async Task Request_Cancellation_CompletesWithoutResult()
    {
        const int StepOfCancellation = 3;
        using var cts = new CancellationTokenSource();
        Task<string> task = _client.GenerateTextAsync("Test", maxTokens: 300, cancellationToken: cts.Token, options: s_endless);
        _executor.BeforeStep = _ =>
        {
            if (_executor.BatchSizes.Count == StepOfCancellation - 1)
            {
                cts.Cancel();
            }
        };
        Scheduler.Start();

        await Assert.ThrowsAsync<TaskCanceledException>(async () => await EndOfAsync(task));
        await StopAsync();

        RequestResult ended = Results.Single();
        Assert.That((ended.Reason, ended.TokensGenerated), Is.EqualTo((CompletionReason.Cancelled, StepOfCancellation)), "What the step computed that it was cancelled in still counts.");
        Assert.That(_executor.BatchSizes, Has.Count.EqualTo(StepOfCancellation), "The next iteration is without it.");
        AssertEverythingReleased();
    }

    // ---- Capacity management ----

    [Test]
    public async Task MemoryLimit_PreventsOversubscription()
    {
        const long MemoryLimit = 100L * 1024 * 1024;
        const long MemoryPerSlot = 30L * 1024 * 1024;
        Reassemble(
            new BatchConstraints(MaxBatchSize: 8, MinBatchSize: 2, MaxSequenceLength: _model.ContextLength),
            capacity: CapacityConstraints.Default with { MaxMemoryBytes = MemoryLimit, MemoryPerSlotBytes = MemoryPerSlot });
        _executor.BeforeStep = _ => _memoryPercents.Enqueue(_capacityManager.GetUtilization().MemoryUtilization);
        List<Task<string>> requests = [.. Enumerable.Range(0, 20).Select(i => _client.GenerateTextAsync($"Request {i}", options: s_sampled))];

        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(requests));
        await StopAsync();

        Assert.That(_memoryPercents, Is.All.LessThanOrEqualTo(90), "A tenth is never given out.");
        Assert.That(_memoryPercents.Max(), Is.EqualTo(90), "Three slots of 30 MiB.");
        Assert.That(_executor.BatchSizes.Max(), Is.EqualTo(3));
        AssertEverythingReleased();
    }

    [Test]
    public async Task CompletedRequest_ReleasesCapacity()
    {
        var slotsDuringSteps = new ConcurrentQueue<double>();
        _executor.BeforeStep = _ => slotsDuringSteps.Enqueue(_capacityManager.GetUtilization().SlotUtilization);
        Task<string> request1Task = _client.GenerateTextAsync("Short", maxTokens: 5, options: s_endless);
        Task<string> request2Task = _client.GenerateTextAsync("Medium", maxTokens: 20, options: s_endless);

        Scheduler.Start();
        await EndOfAsync(request1Task);
        CapacityUtilization utilizationAfter1 = _capacityManager.GetUtilization();
        await EndOfAsync(request2Task);
        await StopAsync();

        const double OneSlot = 100.0 / 32;
        Assert.That(utilizationAfter1.SlotUtilization, Is.LessThanOrEqualTo(OneSlot), "At most the second's is left.");
        Assert.That(slotsDuringSteps, Is.EqualTo(Enumerable.Repeat(2 * OneSlot, 5).Concat(Enumerable.Repeat(OneSlot, 15))));
        AssertEverythingReleased();
    }

    // ---- Performance and metrics ----

    [Test]
    public async Task Throughput_MeasuresCorrectly()
    {
        const int RequestCount = 100;
        List<Task<string>> requests = [.. Enumerable.Range(0, RequestCount).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 20, options: s_sampled))];

        long start = Clock.GetTimestamp();
        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(requests));
        await StopAsync();
        double atMost = RequestCount / Clock.GetElapsedTime(start).TotalSeconds;

        RequestStatistics stats = _metricsCollector.GetRequestStatistics();
        Assert.That(stats.TotalRequests, Is.EqualTo(RequestCount));
        Assert.That(stats.RequestsPerSecond, Is.GreaterThan(0));

        // The collector's clock began before the stopwatch and is read after it: it may only report less.
        Assert.That(stats.RequestsPerSecond, Is.InRange(LeastShareOfThroughput * atMost, atMost));
    }

    [Test]
    public async Task Latency_HasReasonableDistribution()
    {
        List<Task<string>> requests = [.. Enumerable.Range(0, 50).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 20, options: s_sampled))];

        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(requests));
        await StopAsync();

        RequestStatistics stats = _metricsCollector.GetRequestStatistics();
        Assert.That(stats.P50Latency, Is.GreaterThan(0));
        Assert.That(stats.P95Latency, Is.GreaterThanOrEqualTo(stats.P50Latency));
        Assert.That(stats.P99Latency, Is.GreaterThanOrEqualTo(stats.P95Latency));
        Assert.That(stats.P99Latency, Is.LessThanOrEqualTo(Results.Max(r => r.TotalTime.TotalMilliseconds)));
    }

    [Test]
    public async Task BatchUtilization_IsEfficient()
    {
        List<Task<string>> requests = [.. Enumerable.Range(0, 100).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 20, options: s_sampled))];

        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(requests));
        await StopAsync();

        Assert.That(_metricsCollector.GetBatchStatistics().AverageUtilization, Is.GreaterThan(70));
    }

    // ---- Error handling ----

    [Test]
    public async Task ModelError_SchedulerContinues()
    {
        Reassemble(BatchConstraints.Default with { MaxBatchSize = 8, MaxSequenceLength = _model.ContextLength }, executor: new FailingModelExecutor(failCount: 2, _model.Executor));
        List<Task<string>> tasks = [.. Enumerable.Range(0, 10).Select(i => _client.GenerateTextAsync($"Request {i}", options: s_sampled))];

        Scheduler.Start();
        string[] results = await EndOfAsync(Task.WhenAll(tasks));
        await StopAsync();

        Assert.That(results, Has.Length.EqualTo(10), "Nobody lost anything.");
        Assert.That(_metricsCollector.GetErrorStatistics().TotalErrors, Is.EqualTo(2));
        Assert.That(_metricsCollector.GetRequestStatistics().FailedRequests, Is.Zero);
    }

    [Test]
    public async Task PrefillFailure_RequestFailsGracefully()
    {
        _executor.BeforeStep = static batch =>
        {
            if (batch.Schedule.Any(s => s.IsPrefill && s.Request.Prompt == "Test"))
            {
                throw new InvalidOperationException("Simulated prefill error");
            }
        };
        Scheduler.Start();
        Task<string> other = _client.GenerateTextAsync("Other", options: s_sampled);

        await Assert.ThrowsAsync<InvalidOperationException>(async () => await EndOfAsync(_client.GenerateTextAsync("Test", options: s_sampled)));
        await EndOfAsync(other);
        await StopAsync();

        RequestResult failed = Results.Single(r => r.Reason == CompletionReason.Failed);
        Assert.That(failed.Error, Is.EqualTo("Simulated prefill error"));
        AssertEverythingReleased();
    }

    // ---- Stress ----

    [Test]
    [CancelAfter(60_000)]
    public async Task HighConcurrency_HandlesLoad(CancellationToken timeout)
    {
        const int RequestCount = 1000;
        List<Task<string>> tasks = [.. Enumerable.Range(0, RequestCount).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 5, options: s_sampled))];

        Scheduler.Start();
        string[] results = await EndOfAsync(Task.WhenAll(tasks)).WaitAsync(timeout);
        await StopAsync();

        Assert.That(results, Has.Length.EqualTo(RequestCount));
        Assert.That(Results.Select(r => r.RequestId).ToList(), Is.Unique.And.Count.EqualTo(RequestCount), "Each ended once.");
        AssertEverythingReleased();
    }

    [Test]
    public async Task MemoryStress_HandlesLargeRequests()
    {
        List<Task<string>> tasks = [.. Enumerable.Range(0, 10).Select(i => _client.GenerateTextAsync(_model.LargePrompt(i), maxTokens: 10, options: s_endless))];

        Scheduler.Start();
        string[] results = await EndOfAsync(Task.WhenAll(tasks));
        await StopAsync();

        Assert.That(results, Has.Length.EqualTo(10));
        Assert.That(Results.Select(r => r.TokensGenerated), Is.All.EqualTo(10));
        Assert.That(Results.Sum(r => r.PromptTokens), Is.GreaterThan(_model.Cache.TotalBlocks * _model.Cache.BlockSize), "More than the cache holds at once.");
        AssertEverythingReleased();
    }

    // ---- Priority ----

    [Test]
    public async Task Priority_HighPriorityRequestsProcessFirst()
    {
        Reassemble(new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: _model.ContextLength));
        Task<string> lowPriorityTask = _client.GenerateTextAsync("Low", priority: Priority.Low, options: s_sampled);
        Task<string> highPriorityTask = _client.GenerateTextAsync("High", priority: Priority.High, options: s_sampled);

        Scheduler.Start();
        await EndOfAsync(Task.WhenAll(lowPriorityTask, highPriorityTask));
        await StopAsync();

        Assert.That(CompletionOrder, Is.EqualTo(new[] { "High", "Low" }));
    }

    // ---- Prefill and caching ----

    [Test]
    public async Task PrefillCache_ImprovesPerformance()
    {
        Scheduler.Start();

        GenerationResult first = await EndOfAsync(_client.GenerateAsync(_model.SharedPrompt, maxTokens: 10, options: s_endless));
        long computedByFirst = _executor.TokensComputed;
        GenerationResult second = await EndOfAsync(_client.GenerateAsync(_model.SharedPrompt, maxTokens: 10, options: s_endless));
        long computedBySecond = _executor.TokensComputed - computedByFirst;
        await StopAsync();

        int fullBlocks = first.PromptTokens / _model.Cache.BlockSize * _model.Cache.BlockSize;
        Assert.That(first.CachedPromptTokens, Is.Zero);
        Assert.That(second.CachedPromptTokens, Is.GreaterThan(0).And.EqualTo(fullBlocks), "The full blocks of the prompt.");
        Assert.That(computedBySecond, Is.EqualTo(computedByFirst - fullBlocks));
        Assert.That(second.GeneratedText, Is.EqualTo(first.GeneratedText));
    }

    // ---- Not in the specification: whatever the batches, the texts are the same ----

    [Test]
    public async Task SameRequests_GetTheSameTextsInBatchesOfAnySize([Values(1, 3, 8)] int maxBatchSize)
    {
        var runs = new List<string[]>();
        foreach (int size in new[] { 8, maxBatchSize })
        {
            Reassemble(new BatchConstraints(MaxBatchSize: size, MinBatchSize: 1, MaxSequenceLength: _model.ContextLength));
            List<Task<string>> tasks = [.. Enumerable.Range(0, 12).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 40, options: s_sampled))];
            Scheduler.Start();
            runs.Add(await EndOfAsync(Task.WhenAll(tasks)));
            await StopAsync();
        }

        Assert.That(runs[1], Is.EqualTo(runs[0]));
        Assert.That(runs[0], Is.Unique);
    }

    /// <summary>Makes the model of one scenario.</summary>
    private protected abstract ScenarioModel CreateModel();

    /// <summary>Waits for the end of what the loop is to carry out.</summary>
    private protected virtual Task<T> EndOfAsync<T>(Task<T> task) => task;

    /// <summary>Stops the loop when all accepted work is done.</summary>
    private protected virtual Task StopAsync() => Scheduler.StopAsync();

    private void Reassemble(BatchConstraints constraints, CapacityConstraints? capacity = null, IModelExecutor? executor = null)
    {
        DisposeParts();
        Assemble(constraints, capacity, executor);
    }

    private void Assemble(BatchConstraints constraints, CapacityConstraints? capacity = null, IModelExecutor? executor = null)
    {
        _executor = new ObservedExecutor(executor ?? _model.Executor);
        _kvCacheManager = new PagedKVCacheManager(_model.Cache, null, Clock);
        _requestQueue = new RequestQueue(100, null, Clock);
        _capacityManager = new CapacityManager(capacity ?? CapacityConstraints.Default, null, Clock);
        _metricsCollector = new SchedulerMetricsCollector(MetricsConfiguration.Default, Clock);
        Scheduler = new ContinuousBatchScheduler(
            _requestQueue,
            new BatchManager(_requestQueue, _kvCacheManager, constraints, null, Clock),
            new CompletionDetector(_model.Completion, _model.Tokenizer),
            _capacityManager,
            _executor,
            _metricsCollector,
            SchedulerConfiguration.Default,
            Clock,
            null,
            LoopHost);
        Scheduler.RequestEnded += (request, _) => _ended.Enqueue(request);
        Scheduler.AfterIteration = AfterIteration;
        _client = new ContinuousBatchSchedulerClient(Scheduler, SchedulerApiClientConfiguration.Default, NullLogger.Instance);
    }

    private void DisposeParts()
    {
        _client.Dispose();
        Scheduler.Dispose();
        _requestQueue.Dispose();
        _metricsCollector.Dispose();
        _kvCacheManager.Dispose();
    }

    private void AssertEverythingReleased()
    {
        Assert.That(_capacityManager.GetUtilization().SlotUtilization, Is.Zero);
        Assert.That(_capacityManager.GetUtilization().MemoryUtilization, Is.Zero);
        Assert.That(_kvCacheManager.ReferencedBlocks, Is.Zero);
        Assert.That(_kvCacheManager.FreeBlocks + _kvCacheManager.CachedBlocks, Is.EqualTo(_kvCacheManager.TotalBlocks));
        Assert.That(_requestQueue.IsEmpty);
        Assert.That(Scheduler.ActiveRequestCount, Is.Zero);
    }

    private sealed class FailingModelExecutor(int failCount, IModelExecutor inner) : IModelExecutor
    {
        private int _failures;

        public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default) =>
            _failures++ < failCount
                ? throw new InvalidOperationException("Simulated model error")
                : inner.ExecuteBatchAsync(batch, cancellationToken);
    }
}
