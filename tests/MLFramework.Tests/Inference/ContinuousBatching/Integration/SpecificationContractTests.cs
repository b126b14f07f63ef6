using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Integration;

/// <summary>
/// Code as the specifications write it, word for word: constructor shapes, named arguments, defaults. What compiles here may not cease to.
/// </summary>
public class SpecificationContractTests
{
    private const int EOS_TOKEN_ID = 2;
    private ITokenizer _tokenizer = null!;
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
        // Create all components
        _tokenizer = CreateMockTokenizer();
        _modelExecutor = CreateModelExecutor();
        _kvCacheManager = CreateKVCacheManager();

        // Create scheduler components
        _requestQueue = new RequestQueue(100);
        _capacityManager = new CapacityManager(CapacityConstraints.Default);
        _completionDetector = new CompletionDetector(
            CompletionConfiguration.Default,
            _tokenizer
        );
        _batchManager = new BatchManager(
            _requestQueue,
            _kvCacheManager,
            new BatchConstraints(
                MaxBatchSize: 8,
                MaxMemoryBytes: 1L * 1024 * 1024 * 1024, // 1GB
                MinBatchSize: 2,
                MaxSequenceLength: 1024
            )
        );

        _metricsCollector = new SchedulerMetricsCollector(MetricsConfiguration.Default);

        // Create scheduler
        _scheduler = new ContinuousBatchScheduler(
            _requestQueue,
            _batchManager,
            _completionDetector,
            _capacityManager,
            _modelExecutor,
            _metricsCollector,
            SchedulerConfiguration.Default
        );

        // Create client
        _client = new ContinuousBatchSchedulerClient(
            _scheduler,
            SchedulerApiClientConfiguration.Default,
            NullLogger.Instance
        );
    }

    [TearDown]
    public async Task TearDown()
    {
        if (_scheduler.IsRunning)
        {
            await _scheduler.StopAsync();
        }

        _client.Dispose();
        _scheduler.Dispose();
        _metricsCollector.Dispose();
        _requestQueue.Dispose();
        _modelExecutor?.Dispose();
        _kvCacheManager?.Dispose();
    }

    [Test]
    public async Task The_fixture_of_the_specification_serves_a_request_of_its_mock()
    {
        Task<string> task = _client.GenerateTextAsync("The capital of France is", maxTokens: 10);
        _scheduler.Start();
        Assert.That(await task, Is.Not.Null);
        SchedulerStatus status = _client.GetStatus();
        Assert.That((status.IsRunning, status.ActiveRequests, status.QueuedRequests, status.CompletedRequests), Is.EqualTo((true, 0, 0, 1)));
        await _scheduler.StopAsync();
    }

    [Test]
    public void The_client_configuration_has_the_specified_members_and_defaults() =>
        Assert.That(SchedulerApiClientConfiguration.Default, Is.EqualTo(new SchedulerApiClientConfiguration(
            DefaultMaxTokens: 256,
            TimeoutMultiplier: 1.5,
            EnableRequestLogging: true,
            EnableStatisticsCollection: true,
            MaxConcurrentEnqueue: 100
        )));

    [Test]
    public void The_generation_options_have_the_specified_members_and_defaults() =>
        Assert.That(GenerationOptions.Default, Is.EqualTo(new GenerationOptions(
            Temperature: 1.0f,
            TopP: 1.0f,
            TopK: null,
            FrequencyPenalty: 0.0f,
            PresencePenalty: 0.0f,
            StopSequences: null,
            Seed: null,
            EchoPrompt: false,
            Grammar: null,
            Metadata: null
        )));

    [Test]
    public void The_generation_request_has_the_specified_members_and_defaults()
    {
        var request = new GenerationRequest("prompt");
        Assert.That(request, Is.EqualTo(new GenerationRequest(
            Prompt: "prompt", MaxTokens: 256, Priority: Priority.Normal, Options: null, CancellationToken: default, Metadata: null)));
    }

    [Test]
    public void Results_and_statistics_have_the_specified_members()
    {
        var id = RequestId.New();
        var result = new RequestResult(RequestId: id, GeneratedText: "text", TokensGenerated: 1, Reason: CompletionReason.StopString, ProcessingTime: TimeSpan.Zero);
        var generation = new GenerationResult(
            RequestId: id, GeneratedText: "text", TokensGenerated: 1, Reason: CompletionReason.StopString, ProcessingTime: TimeSpan.Zero, QueueTime: TimeSpan.Zero, Metadata: null);
        var stats = new BatchStats(BatchId: 1, RequestCount: 2, MemoryBytesUsed: 3, UtilizationPercentage: 4, ProcessingTime: TimeSpan.Zero);
        var status = new SchedulerStatus(
            IsRunning: true, ActiveRequests: 1, QueuedRequests: 2, CompletedRequests: 3, GpuUtilization: 4, MemoryUtilization: 5, LastUpdateTime: default);
        var statistics = new SchedulerStatistics(
            TotalRequests: 1,
            TotalCompletedRequests: 1,
            TotalFailedRequests: 0,
            TotalCancelledRequests: 0,
            TotalProcessingTime: TimeSpan.Zero,
            AverageRequestsPerSecond: 0.0,
            AverageTokensPerSecond: 0.0,
            P50Latency: 0.0,
            P95Latency: 0.0,
            P99Latency: 0.0,
            AverageBatchUtilization: 0.0,
            StartTime: default);
        Assert.That(result.RequestId, Is.EqualTo(generation.RequestId));
        Assert.That((stats.RequestCount, status.QueuedRequests, statistics.TotalRequests), Is.EqualTo((2, 2, 1)));
    }

    [Test]
    public void Configurations_have_the_specified_members_and_defaults()
    {
        Assert.That(SchedulerConfiguration.Default, Is.EqualTo(new SchedulerConfiguration(
            IterationTimeoutMs: 1000, MaxIdleIterations: 10, MinIterationsPerSecond: 30, EnableAdaptiveBatching: true, WarmupIterations: 5, TargetUtilization: 0.85)));
        Assert.That(BatchConstraints.Default, Is.EqualTo(new BatchConstraints(
            MaxBatchSize: 32, MaxMemoryBytes: 16L * 1024 * 1024 * 1024, MinBatchSize: 4, MaxSequenceLength: 4096)));
        Assert.That(CapacityConstraints.Default, Is.EqualTo(new CapacityConstraints(
            MaxBatchSize: 32,
            MaxMemoryBytes: 16L * 1024 * 1024 * 1024,
            MemoryPerSlotBytes: 512L * 1024 * 1024,
            MaxConcurrentRequests: 64,
            MemoryBufferRatio: 0.1)));
        Assert.That(CompletionConfiguration.Default, Is.EqualTo(new CompletionConfiguration(
            EosTokenId: 2, DefaultMaxTokens: 256, StopStrings: null, MaxResponseLength: null, EnableEarlyStopping: false, EarlyStoppingThreshold: 0.01)));
        Assert.That(PrefillConfiguration.Default, Is.EqualTo(new PrefillConfiguration(
            MaxPrefillBatchSize: 8,
            MaxPrefillMemoryBytes: 4L * 1024 * 1024 * 1024,
            PrefillChunkSize: 512,
            EnablePrefillCaching: true,
            PrefillCacheMaxEntries: 100,
            PrefillCacheTtlSeconds: 300)));
    }

    private static WordTokenizer CreateMockTokenizer() => new();

    private static MockModelExecutor CreateModelExecutor() => new();

    private static PagedKVCacheManager CreateKVCacheManager() => new(new KVCacheConfiguration(1024));

    /// <summary>The specification's own mock, but for the seeded generator and the clock of its delay.</summary>
    private sealed class MockModelExecutor : IModelExecutor, IDisposable
    {
        private readonly Random _random = new(42);
        private bool _disposed;

        public async Task<BatchOutput> ExecuteBatchAsync(
            Batch batch,
            CancellationToken cancellationToken = default)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, cancellationToken); // Simulate compute time

            var generatedTokens = new Dictionary<RequestId, int>();
            var logits = new Dictionary<RequestId, float[]>();
            var isEosReached = new bool[batch.Size];

            int idx = 0;
            foreach (var request in batch.Requests)
            {
                // Generate token (mock)
                int tokenId = _random.Next(0, 1000);

                // Occasionally generate EOS
                if (_random.Next(0, 10) == 0)
                {
                    tokenId = EOS_TOKEN_ID;
                    isEosReached[idx] = true;
                }

                generatedTokens[request.Id] = tokenId;
                logits[request.Id] = new float[1000]; // Mock logits
                idx++;
            }

            return new BatchOutput(generatedTokens, logits, isEosReached);
        }

        public void Dispose()
        {
            _disposed = true;
        }
    }
}
