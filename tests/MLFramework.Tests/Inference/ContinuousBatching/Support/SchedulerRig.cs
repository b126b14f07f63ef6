using Microsoft.Extensions.Logging.Abstractions;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

/// <summary>A whole scheduler in virtual time, with every part within reach.</summary>
internal sealed class SchedulerRig : IDisposable
{
    public SchedulerRig(
        BatchConstraints? constraints = null,
        SchedulerConfiguration? configuration = null,
        KVCacheConfiguration? cache = null,
        PrefillConfiguration? prefill = null,
        CompletionConfiguration? completion = null,
        CapacityConstraints? capacity = null,
        QueuePolicy? policy = null,
        IModelExecutor? executor = null,
        IKVCacheManager? cacheManager = null,
        ISchedulerMetrics? metrics = null,
        SchedulerApiClientConfiguration? client = null,
        ITokenizer? tokenizer = null)
    {
        Clock = new VirtualTimeProvider();
        Context = new SimulationContext(Clock);
        KVCacheConfiguration blocks = cache ?? new KVCacheConfiguration(1024);
        Model = new MockModelExecutor(blocks.BlockSize, Clock) { StepTime = static _ => TimeSpan.FromMilliseconds(10) };
        Queue = new RequestQueue(100, policy, Clock);
        Cache = cacheManager ?? new PagedKVCacheManager(blocks, prefill, Clock);
        Batches = new BatchManager(Queue, Cache, constraints ?? new BatchConstraints(MaxBatchSize: 8, MinBatchSize: 1, MaxSequenceLength: 1024), prefill, Clock);
        Capacity = new CapacityManager(capacity ?? new CapacityConstraints(MaxBatchSize: 1000, MaxConcurrentRequests: 1000, MemoryPerSlotBytes: 1), null, Clock);
        Collector = new SchedulerMetricsCollector(MetricsConfiguration.Default, Clock);
        Scheduler = new ContinuousBatchScheduler(
            Queue,
            Batches,
            new CompletionDetector(completion ?? CompletionConfiguration.Default, tokenizer ?? Tokenizer),
            Capacity,
            executor ?? Model,
            metrics ?? Collector,
            configuration ?? SchedulerConfiguration.Default,
            Clock,
            null,
            new SimulationLoopHost(Context));
        Scheduler.AfterIteration = () => SchedulerInvariants.Check(Scheduler);
        Client = new ContinuousBatchSchedulerClient(Scheduler, client ?? SchedulerApiClientConfiguration.Default, NullLogger.Instance);
    }

    public VirtualTimeProvider Clock { get; }

    public SimulationContext Context { get; }

    public WordTokenizer Tokenizer { get; } = new();

    public MockModelExecutor Model { get; }

    public RequestQueue Queue { get; }

    public IKVCacheManager Cache { get; }

    public PagedKVCacheManager Paged => (PagedKVCacheManager)Cache;

    public BatchManager Batches { get; }

    public CapacityManager Capacity { get; }

    public SchedulerMetricsCollector Collector { get; }

    public ContinuousBatchScheduler Scheduler { get; }

    public ContinuousBatchSchedulerClient Client { get; }

    public Request NewRequest(
        string prompt = "prompt",
        int maxTokens = 4,
        Priority priority = Priority.Normal,
        string? tenant = null,
        TimeSpan? deadline = null,
        CancellationToken token = default,
        GenerationOptions? options = null) =>
        new(RequestId.New(), prompt, maxTokens, token, priority, Clock)
        {
            Options = tenant is null ? options : (options ?? GenerationOptions.Default) with { Tenant = tenant },
            Deadline = deadline is { } d ? Clock.GetUtcNow() + d : null,
        };

    /// <summary>Enqueues a request; its ending is observed on the request.</summary>
    public Request Enqueue(Request request, Priority priority = Priority.Normal)
    {
        Task<string> task = Scheduler.EnqueueAsync(request, priority);
        if (task.Exception?.InnerException is RequestRejectedException rejected)
        {
            throw rejected;
        }

        return request;
    }

    public Request Enqueue(string prompt = "prompt", int maxTokens = 4, Priority priority = Priority.Normal, string? tenant = null) =>
        Enqueue(NewRequest(prompt, maxTokens, priority, tenant));

    /// <summary>Runs one iteration by hand.</summary>
    public IterationResult Iterate()
    {
        IterationResult? result = null;
        Context.Run(async () => result = await Scheduler.ExecuteIterationAsync());
        return result!;
    }

    /// <summary>Iterates by hand until nothing is alive.</summary>
    public void RunDry(int mostIterations = 10_000)
    {
        for (int i = 0; Scheduler.Registry.Count > 0; i++)
        {
            Assert.That(i, Is.LessThan(mostIterations), "Requests that never end.");
            Iterate();
        }
    }

    /// <summary>Starts the loop, drains it and checks that nothing is left.</summary>
    public void StartAndDrain()
    {
        Context.Run(async () =>
        {
            Scheduler.Start();
            await Scheduler.StopAsync(Timeout.InfiniteTimeSpan);
        });
        AssertIdle();
    }

    public void AssertIdle()
    {
        SchedulerInvariants.Check(Scheduler);
        Assert.That(Scheduler.Registry.Count, Is.Zero, "Requests alive.");
        Assert.That(Capacity.AllocationCount, Is.Zero, "Capacity held.");
        Assert.That(Queue.IsEmpty, "Requests waiting.");
    }

    public void Dispose()
    {
        Client.Dispose();
        Scheduler.Dispose();
        Queue.Dispose();
        Model.Dispose();
        Collector.Dispose();
    }
}
