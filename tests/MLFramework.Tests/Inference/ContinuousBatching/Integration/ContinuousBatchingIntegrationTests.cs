using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Integration;

/// <summary>The scheduler as its users run it: the system's clock, the loop on its own thread, a model that takes time and keeps its keys and values.</summary>
public class ContinuousBatchingIntegrationTests
{
    private const string CapitalPrompt = "The capital of France is";

    private readonly ConcurrentQueue<RequestResult> _results = new();
    private readonly ConcurrentQueue<string> _completionOrder = new();
    private readonly ConcurrentQueue<double> _memoryPercents = new();

    private WordTokenizer _tokenizer = null!;
    private MockModelExecutor _modelExecutor = null!;
    private PagedKVCacheManager _kvCacheManager = null!;
    private RequestQueue _requestQueue = null!;
    private CapacityManager _capacityManager = null!;
    private CompletionDetector _completionDetector = null!;
    private BatchManager _batchManager = null!;
    private SchedulerMetricsCollector _metricsCollector = null!;
    private ContinuousBatchScheduler _scheduler = null!;
    private ContinuousBatchSchedulerClient _client = null!;

    [SetUp]
    public void Setup()
    {
        _modelExecutor = CreateModelExecutor();
        Assemble(
            _modelExecutor,
            new BatchConstraints(
                MaxBatchSize: 8,
                MaxMemoryBytes: 1L * 1024 * 1024 * 1024,
                MinBatchSize: 2,
                MaxSequenceLength: 1024));
    }

    [TearDown]
    public async Task TearDown()
    {
        if (_scheduler.IsRunning)
        {
            await _scheduler.StopAsync();
        }

        DisposeParts();
        _modelExecutor.Dispose();
    }

    // ---- Full request lifecycle ----

    [Test]
    public async Task SingleRequest_GeneratesTextAndCompletes()
    {
        Task<string> task = _client.GenerateTextAsync(CapitalPrompt, 10);
        _scheduler.Start();
        string result = await task;
        await _scheduler.StopAsync();

        Assert.That(result, Is.EqualTo(" Paris."));
    }

    [Test]
    public async Task MultipleSequentialRequests_AllComplete()
    {
        var prompts = new List<string> { "The sky is", "The sun is", "The moon is" };
        var results = new List<string>();

        _scheduler.Start();
        foreach (string prompt in prompts)
        {
            results.Add(await _client.GenerateTextAsync(prompt));
        }

        await _scheduler.StopAsync();

        Assert.That(results, Has.Count.EqualTo(3));
        Assert.That(results, Is.Unique, "Each answers its own prompt.");
        Assert.That(_results.Select(r => r.Reason), Is.All.EqualTo(CompletionReason.EosTokenReached).Or.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public async Task MultipleConcurrentRequests_AllComplete()
    {
        const int RequestCount = 20;
        List<Task<string>> tasks = [.. Enumerable.Range(0, RequestCount).Select(i => _client.GenerateTextAsync($"Generate text {i}"))];

        _scheduler.Start();
        string[] results = await Task.WhenAll(tasks);
        await _scheduler.StopAsync();

        Assert.That(results, Has.Length.EqualTo(RequestCount));
        Assert.That(_results, Has.Count.EqualTo(RequestCount));
        Assert.That(_modelExecutor.BatchSizes.Max(), Is.EqualTo(8), "They shared their steps.");
    }

    // ---- Batch dynamics ----

    [Test]
    public async Task DynamicBatch_AddsAndRemovesRequestsCorrectly()
    {
        _modelExecutor.EosOneIn = 0;
        Task<string> shortRequestTask = _client.GenerateTextAsync("Short", maxTokens: 5);
        Task<string> longRequestTask = _client.GenerateTextAsync("Long", maxTokens: 50);

        _scheduler.Start();
        await Task.WhenAll(shortRequestTask, longRequestTask);
        await _scheduler.StopAsync();

        Assert.That(_completionOrder, Is.EqualTo(new[] { "Short", "Long" }));
        Assert.That(_results.Select(r => r.TokensGenerated), Is.EquivalentTo(new[] { 5, 50 }));
        Assert.That(_modelExecutor.BatchSizes, Is.EqualTo(Enumerable.Repeat(2, 5).Concat(Enumerable.Repeat(1, 45))), "The short one left when it was done.");
    }

    [Test]
    public async Task BatchSize_RespectsMaxBatchSize()
    {
        const int MaxBatchSize = 4;
        Reassemble(new BatchConstraints(MaxBatchSize: MaxBatchSize, MinBatchSize: 2, MaxSequenceLength: 1024));
        List<Task<string>> requests = [.. Enumerable.Range(0, 10).Select(i => _client.GenerateTextAsync($"Request {i}"))];

        _scheduler.Start();
        await Task.WhenAll(requests);
        await _scheduler.StopAsync();

        BatchStatistics stats = _metricsCollector.GetBatchStatistics();
        Assert.That(stats.MaxBatchSize, Is.EqualTo(MaxBatchSize), "Reached, and never exceeded.");
        Assert.That(_modelExecutor.BatchSizes.Max(), Is.EqualTo(MaxBatchSize));
    }

    // ---- Completion detection ----

    [Test]
    public async Task Request_CompletesOnEosToken()
    {
        const string Prompt = "Complete this sentence with";
        _modelExecutor.Script[Prompt] = [WordTokenizer.Word(" blue"), WordTokenizer.Word("."), WordTokenizer.Eos];

        Task<string> task = _client.GenerateTextAsync(Prompt, 100);
        _scheduler.Start();
        string result = await task;
        await _scheduler.StopAsync();

        Assert.That(result, Is.EqualTo(" blue."), "The end token yields no text.");
        RequestResult ended = _results.Single();
        Assert.That((ended.Reason, ended.TokensGenerated), Is.EqualTo((CompletionReason.EosTokenReached, 3)));
    }

    [Test]
    public async Task Request_CompletesOnMaxTokens()
    {
        const int MaxTokens = 10;
        _modelExecutor.EosOneIn = 0;

        Task<string> task = _client.GenerateTextAsync("Generate text", MaxTokens);
        _scheduler.Start();
        string result = await task;
        await _scheduler.StopAsync();

        Assert.That(result, Has.Length.EqualTo(MaxTokens));
        RequestResult ended = _results.Single();
        Assert.That((ended.Reason, ended.TokensGenerated), Is.EqualTo((CompletionReason.MaxTokensReached, MaxTokens)));
    }

    [Test]
    public async Task Request_Cancellation_CompletesWithoutResult()
    {
        _modelExecutor.EosOneIn = 0;
        using var cts = new CancellationTokenSource();
        Task<string> task = _client.GenerateTextAsync("Test", maxTokens: 1000, cancellationToken: cts.Token);
        _scheduler.Start();

        await cts.CancelAsync();
        await Assert.ThrowsAsync<TaskCanceledException>(async () => await task);
        await _scheduler.StopAsync();

        Assert.That(_results.Single().Reason, Is.EqualTo(CompletionReason.Cancelled));
        AssertEverythingReleased();
    }

    // ---- Capacity management ----

    [Test]
    public async Task MemoryLimit_PreventsOversubscription()
    {
        const long MemoryLimit = 100L * 1024 * 1024;
        const long MemoryPerSlot = 30L * 1024 * 1024;
        Reassemble(
            new BatchConstraints(MaxBatchSize: 8, MinBatchSize: 2, MaxSequenceLength: 1024),
            capacity: CapacityConstraints.Default with { MaxMemoryBytes = MemoryLimit, MemoryPerSlotBytes = MemoryPerSlot });
        _modelExecutor.BeforeStep = _ => _memoryPercents.Enqueue(_capacityManager.GetUtilization().MemoryUtilization);
        List<Task<string>> requests = [.. Enumerable.Range(0, 20).Select(i => _client.GenerateTextAsync($"Request {i}"))];

        _scheduler.Start();
        await Task.WhenAll(requests);
        await _scheduler.StopAsync();

        Assert.That(_memoryPercents, Is.All.LessThanOrEqualTo(90), "A tenth is never given out.");
        Assert.That(_memoryPercents.Max(), Is.EqualTo(90), "Three slots of 30 MiB.");
        Assert.That(_modelExecutor.BatchSizes.Max(), Is.EqualTo(3));
        AssertEverythingReleased();
    }

    [Test]
    public async Task CompletedRequest_ReleasesCapacity()
    {
        _modelExecutor.EosOneIn = 0;
        var slotsDuringSteps = new ConcurrentQueue<double>();
        _modelExecutor.BeforeStep = _ => slotsDuringSteps.Enqueue(_capacityManager.GetUtilization().SlotUtilization);
        Task<string> request1Task = _client.GenerateTextAsync("Short", maxTokens: 5);
        Task<string> request2Task = _client.GenerateTextAsync("Medium", maxTokens: 20);

        _scheduler.Start();
        await request1Task;
        CapacityUtilization utilizationAfter1 = _capacityManager.GetUtilization();
        await request2Task;
        await _scheduler.StopAsync();

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
        List<Task<string>> requests = [.. Enumerable.Range(0, RequestCount).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 20))];

        long start = TimeProvider.System.GetTimestamp();
        _scheduler.Start();
        await Task.WhenAll(requests);
        await _scheduler.StopAsync();
        double atMost = RequestCount / TimeProvider.System.GetElapsedTime(start).TotalSeconds;

        RequestStatistics stats = _metricsCollector.GetRequestStatistics();
        Assert.That(stats.TotalRequests, Is.EqualTo(RequestCount));
        Assert.That(stats.RequestsPerSecond, Is.GreaterThan(0));

        // The collector's clock began before the stopwatch and is read after it: it may only report less.
        Assert.That(stats.RequestsPerSecond, Is.LessThanOrEqualTo(atMost));
    }

    [Test]
    public async Task Latency_HasReasonableDistribution()
    {
        List<Task<string>> requests = [.. Enumerable.Range(0, 50).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 20))];

        _scheduler.Start();
        await Task.WhenAll(requests);
        await _scheduler.StopAsync();

        RequestStatistics stats = _metricsCollector.GetRequestStatistics();
        Assert.That(stats.P50Latency, Is.GreaterThan(0));
        Assert.That(stats.P95Latency, Is.GreaterThanOrEqualTo(stats.P50Latency));
        Assert.That(stats.P99Latency, Is.GreaterThanOrEqualTo(stats.P95Latency));
        Assert.That(stats.P99Latency, Is.LessThanOrEqualTo(_results.Max(r => r.TotalTime.TotalMilliseconds)));
    }

    [Test]
    public async Task BatchUtilization_IsEfficient()
    {
        List<Task<string>> requests = [.. Enumerable.Range(0, 100).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 20))];

        _scheduler.Start();
        await Task.WhenAll(requests);
        await _scheduler.StopAsync();

        Assert.That(_metricsCollector.GetBatchStatistics().AverageUtilization, Is.GreaterThan(70));
    }

    // ---- Error handling ----

    [Test]
    public async Task ModelError_SchedulerContinues()
    {
        Reassemble(BatchConstraints.Default with { MaxBatchSize = 8 }, executor: new FailingModelExecutor(failCount: 2, _modelExecutor));
        List<Task<string>> tasks = [.. Enumerable.Range(0, 10).Select(i => _client.GenerateTextAsync($"Request {i}"))];

        _scheduler.Start();
        string[] results = await Task.WhenAll(tasks);
        await _scheduler.StopAsync();

        Assert.That(results, Has.Length.EqualTo(10), "Nobody lost anything.");
        Assert.That(_metricsCollector.GetErrorStatistics().TotalErrors, Is.EqualTo(2));
        Assert.That(_metricsCollector.GetRequestStatistics().FailedRequests, Is.Zero);
    }

    [Test]
    public async Task PrefillFailure_RequestFailsGracefully()
    {
        _modelExecutor.BeforeStep = static batch =>
        {
            if (batch.Schedule.Any(s => s.IsPrefill && s.Request.Prompt == "Test"))
            {
                throw new InvalidOperationException("Simulated prefill error");
            }
        };
        _scheduler.Start();
        Task<string> other = _client.GenerateTextAsync("Other");

        await Assert.ThrowsAsync<InvalidOperationException>(async () => await _client.GenerateTextAsync("Test"));
        await other;
        await _scheduler.StopAsync();

        RequestResult failed = _results.Single(r => r.Reason == CompletionReason.Failed);
        Assert.That(failed.Error, Is.EqualTo("Simulated prefill error"));
        AssertEverythingReleased();
    }

    // ---- Stress ----

    [Test]
    [CancelAfter(60_000)]
    public async Task HighConcurrency_HandlesLoad(CancellationToken timeout)
    {
        const int RequestCount = 1000;
        List<Task<string>> tasks = [.. Enumerable.Range(0, RequestCount).Select(i => _client.GenerateTextAsync($"Request {i}", maxTokens: 5))];

        _scheduler.Start();
        string[] results = await Task.WhenAll(tasks).WaitAsync(timeout);
        await _scheduler.StopAsync();

        Assert.That(results, Has.Length.EqualTo(RequestCount));
        Assert.That(_results.Select(r => r.RequestId).ToList(), Is.Unique.And.Count.EqualTo(RequestCount), "Each ended once.");
        AssertEverythingReleased();
    }

    [Test]
    public async Task MemoryStress_HandlesLargeRequests()
    {
        Reassemble(new BatchConstraints(MaxBatchSize: 8, MinBatchSize: 2, MaxSequenceLength: 16_384), cacheBlocks: 2048);
        _modelExecutor.EosOneIn = 0;
        List<Task<string>> tasks = [.. Enumerable.Range(0, 10).Select(i => _client.GenerateTextAsync(new string((char)('A' + i), 10_000), maxTokens: 10))];

        _scheduler.Start();
        string[] results = await Task.WhenAll(tasks);
        await _scheduler.StopAsync();

        Assert.That(results, Has.Length.EqualTo(10).And.All.Length.EqualTo(10));
        AssertEverythingReleased();
    }

    // ---- Priority ----

    [Test]
    public async Task Priority_HighPriorityRequestsProcessFirst()
    {
        Reassemble(new BatchConstraints(MaxBatchSize: 1, MinBatchSize: 1, MaxSequenceLength: 1024));
        Task<string> lowPriorityTask = _client.GenerateTextAsync("Low", priority: Priority.Low);
        Task<string> highPriorityTask = _client.GenerateTextAsync("High", priority: Priority.High);

        _scheduler.Start();
        await lowPriorityTask;
        await highPriorityTask;
        await _scheduler.StopAsync();

        Assert.That(_completionOrder, Is.EqualTo(new[] { "High", "Low" }));
    }

    // ---- Prefill and caching ----

    [Test]
    public async Task PrefillCache_ImprovesPerformance()
    {
        const string SharedPrompt = "Shared prompt for caching";
        _modelExecutor.EosOneIn = 0;
        _scheduler.Start();

        GenerationResult first = await _client.GenerateAsync(SharedPrompt, maxTokens: 10);
        long computedByFirst = _modelExecutor.TokensComputed;
        GenerationResult second = await _client.GenerateAsync(SharedPrompt, maxTokens: 10);
        long computedBySecond = _modelExecutor.TokensComputed - computedByFirst;
        await _scheduler.StopAsync();

        Assert.That(first.CachedPromptTokens, Is.Zero);
        Assert.That(second.CachedPromptTokens, Is.EqualTo(16), "The full block of the prompt.");
        Assert.That(computedBySecond, Is.EqualTo(computedByFirst - 16));
        Assert.That(second.GeneratedText, Is.EqualTo(first.GeneratedText));
    }

    private static MockModelExecutor CreateModelExecutor() => new()
    {
        StepTime = static _ => TimeSpan.FromMilliseconds(1),
        EosOneIn = 10,
        Script =
        {
            [CapitalPrompt] = [WordTokenizer.Word(" Paris"), WordTokenizer.Word("."), WordTokenizer.Eos],
        },
    };

    private void Reassemble(
        BatchConstraints constraints, CapacityConstraints? capacity = null, IModelExecutor? executor = null, int cacheBlocks = 1024)
    {
        DisposeParts();
        Assemble(executor ?? _modelExecutor, constraints, capacity, cacheBlocks);
    }

    private void Assemble(IModelExecutor executor, BatchConstraints constraints, CapacityConstraints? capacity = null, int cacheBlocks = 1024)
    {
        _tokenizer = new WordTokenizer();
        _kvCacheManager = new PagedKVCacheManager(new KVCacheConfiguration(cacheBlocks));
        _requestQueue = new RequestQueue(100);
        _capacityManager = new CapacityManager(capacity ?? CapacityConstraints.Default);
        _completionDetector = new CompletionDetector(CompletionConfiguration.Default, _tokenizer);
        _batchManager = new BatchManager(_requestQueue, _kvCacheManager, constraints);
        _metricsCollector = new SchedulerMetricsCollector(MetricsConfiguration.Default);
        _scheduler = new ContinuousBatchScheduler(
            _requestQueue, _batchManager, _completionDetector, _capacityManager, executor, _metricsCollector, SchedulerConfiguration.Default);
        _scheduler.RequestEnded += (request, result) =>
        {
            _results.Enqueue(result);
            _completionOrder.Enqueue(request.Prompt);
        };
        _client = new ContinuousBatchSchedulerClient(_scheduler, SchedulerApiClientConfiguration.Default, NullLogger.Instance);
    }

    private void DisposeParts()
    {
        _client.Dispose();
        _scheduler.Dispose();
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
        Assert.That(_scheduler.ActiveRequestCount, Is.Zero);
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
