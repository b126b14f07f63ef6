using System.Globalization;

namespace MLFramework.Serving;

/// <summary>How a <see cref="DynamicBatcher{TRequest,TResponse}"/> forms, bounds and runs its batches.</summary>
/// <remarks>The batcher takes a copy when it is made: later changes have no effect. For costs use <see cref="BatchingConfiguration{TRequest}"/>.</remarks>
public class BatchingConfiguration
{
    private static readonly TimeSpan s_maxTimer = TimeSpan.FromDays(24);

    /// <summary>Name of the batcher in metrics and logs.</summary>
    /// <value>Default: none; the request and response types are named instead.</value>
    public string? Name { get; set; }

    /// <summary>The most requests in one batch.</summary>
    /// <value>1–1024. Default: 32.</value>
    public int MaxBatchSize { get; set; } = 32;

    /// <summary>How long the oldest waiting request may be held back for company while a batch could be started.</summary>
    /// <value>1–1000 ms. Default: 5 ms. Timers of the system clock add up to about a millisecond.</value>
    public TimeSpan MaxWaitTime { get; set; } = TimeSpan.FromMilliseconds(5);

    /// <summary>The batch size worth dispatching without further waiting; 1 dispatches every request as soon as a batch may start.</summary>
    /// <value>1–<see cref="MaxBatchSize"/>. Default: 16. <see cref="TimeoutStrategy.WaitForFull"/> ignores it; <see cref="TimeoutStrategy.Adaptive"/> uses it until it has learned.</value>
    public int PreferBatchSize { get; set; } = 16;

    /// <summary>The most requests that may wait. Requests in flight do not count.</summary>
    /// <value>10–10000. Default: 100.</value>
    public int MaxQueueSize { get; set; } = 100;

    /// <summary>When a batch that is not full goes out.</summary>
    /// <value>Default: <see cref="TimeoutStrategy.DispatchPartial"/>.</value>
    public TimeoutStrategy TimeoutStrategy { get; set; } = TimeoutStrategy.DispatchPartial;

    /// <summary>The most batches in the processor at a time. Use 1 for a processor that is one serial resource, such as a GPU.</summary>
    /// <value>1–256. Default: 4.</value>
    public int MaxConcurrentBatches { get; set; } = 4;

    /// <summary>The most summed cost in one batch, in the unit of <see cref="BatchingConfiguration{TRequest}.CostFunction"/>; without one every request costs 1.</summary>
    /// <value>At least 1. Default: unbounded. A request that alone exceeds it is refused with an <see cref="ArgumentException"/>.</value>
    public long MaxBatchCost { get; set; } = long.MaxValue;

    /// <summary>The waiting time that is worth one class of <see cref="RequestPriority"/>, so that low priority is late but never starved.</summary>
    /// <value>Positive, or <see cref="Timeout.InfiniteTimeSpan"/> for strict priorities. Default: 1 s.</value>
    public TimeSpan PriorityAging { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a caller waits for its response, queue and processing together, before <see cref="RequestTimeoutAction"/> applies.</summary>
    /// <value>1 ms–24 days, or <see cref="Timeout.InfiniteTimeSpan"/>. Default: infinite.</value>
    public TimeSpan RequestTimeout { get; set; } = Timeout.InfiniteTimeSpan;

    /// <summary>What happens when <see cref="RequestTimeout"/> has passed.</summary>
    /// <value>Default: <see cref="RequestTimeoutAction.Reject"/>.</value>
    public RequestTimeoutAction RequestTimeoutAction { get; set; } = RequestTimeoutAction.Reject;

    /// <summary>What happens to a request that finds the queue full.</summary>
    /// <value>Default: <see cref="QueueFullPolicy.Reject"/>.</value>
    public QueueFullPolicy QueueFullPolicy { get; set; } = QueueFullPolicy.Reject;

    /// <summary>How long a request may wait for room in the queue under <see cref="QueueFullPolicy.Wait"/>.</summary>
    /// <value>1 ms–24 days. Default: 1 s.</value>
    public TimeSpan MaxEnqueueWait { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Whether responses are delivered in the order in which requests were taken from the queue (order of submission within a priority), although batches run in parallel.</summary>
    /// <value>Default: false. When true, a batch that finishes early holds its place until its predecessors have delivered.</value>
    public bool PreserveOrder { get; set; }

    /// <summary>How often a batch whose processor has failed is processed again as a whole. The processor must tolerate repeats.</summary>
    /// <value>0–10. Default: 0.</value>
    public int MaxRetries { get; set; }

    /// <summary>Pause before each retry; the batch keeps its place among <see cref="MaxConcurrentBatches"/> meanwhile.</summary>
    /// <value>0–24 days. Default: zero.</value>
    public TimeSpan RetryDelay { get; set; } = TimeSpan.Zero;

    /// <summary>What happens to the requests of a batch that keeps failing.</summary>
    /// <value>Default: <see cref="BatchFailurePolicy.FailBatch"/>.</value>
    public BatchFailurePolicy FailurePolicy { get; set; } = BatchFailurePolicy.FailBatch;

    /// <summary>How long a shutdown waits for batches to finish; whoever is still unanswered then is cancelled.</summary>
    /// <value>0–24 days, or <see cref="Timeout.InfiniteTimeSpan"/>. Default: 30 s.</value>
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The requests that this configuration can tell the cost of, or null when it does not look at them.</summary>
    internal virtual Type? RequestType => null;

    /// <summary>A configuration in which every property has its default.</summary>
    public static BatchingConfiguration Default() => new();

    /// <summary>Checks every property against its documented range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A property is out of range; the message names it, its value and the limits.</exception>
    public virtual void Validate()
    {
        RequireRange(MaxBatchSize, 1, 1024, nameof(MaxBatchSize));
        RequireRange(MaxWaitTime, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(1), nameof(MaxWaitTime));
        RequireRange(PreferBatchSize, 1, MaxBatchSize, nameof(PreferBatchSize), $" ({nameof(MaxBatchSize)})");
        RequireRange(MaxQueueSize, 10, 10_000, nameof(MaxQueueSize));
        RequireRange(MaxConcurrentBatches, 1, 256, nameof(MaxConcurrentBatches));
        RequireRange(MaxBatchCost, 1, long.MaxValue, nameof(MaxBatchCost));
        RequireRange(MaxRetries, 0, 10, nameof(MaxRetries));
        RequireRange(RetryDelay, TimeSpan.Zero, s_maxTimer, nameof(RetryDelay));
        RequireRange(MaxEnqueueWait, TimeSpan.FromMilliseconds(1), s_maxTimer, nameof(MaxEnqueueWait));
        RequireRangeOrInfinite(PriorityAging, TimeSpan.FromTicks(1), s_maxTimer, nameof(PriorityAging));
        RequireRangeOrInfinite(RequestTimeout, TimeSpan.FromMilliseconds(1), s_maxTimer, nameof(RequestTimeout));
        RequireRangeOrInfinite(DrainTimeout, TimeSpan.Zero, s_maxTimer, nameof(DrainTimeout));
        RequireDefined(TimeoutStrategy, nameof(TimeoutStrategy));
        RequireDefined(RequestTimeoutAction, nameof(RequestTimeoutAction));
        RequireDefined(QueueFullPolicy, nameof(QueueFullPolicy));
        RequireDefined(FailurePolicy, nameof(FailurePolicy));
    }

    /// <summary>A copy that later changes to this object do not reach.</summary>
    internal BatchingConfiguration Copy() => (BatchingConfiguration)MemberwiseClone();

    private static void RequireRange<T>(T value, T min, T max, string name, string maxSource = "")
        where T : IComparable<T>, IFormattable
    {
        if (value.CompareTo(min) < 0 || value.CompareTo(max) > 0)
        {
            throw new ArgumentOutOfRangeException(
                name, value, string.Create(CultureInfo.InvariantCulture, $"{name} must be between {min} and {max}{maxSource}, but is {value}."));
        }
    }

    private static void RequireRangeOrInfinite(TimeSpan value, TimeSpan min, TimeSpan max, string name)
    {
        if (value != Timeout.InfiniteTimeSpan)
        {
            RequireRange(value, min, max, name);
        }
    }

    private static void RequireDefined<T>(T value, string name)
        where T : struct, Enum
    {
        if (!Enum.IsDefined(value))
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be one of {string.Join(", ", Enum.GetNames<T>())}, but is {value}.");
        }
    }
}
