namespace MLFramework.Serving;

/// <summary>State and history of a batcher at one moment.</summary>
/// <remarks>Totals are for the lifetime. Values are read one after another: under load they may differ by requests that move meanwhile.</remarks>
public class QueueStatistics
{
    /// <summary>How many requests wait in the queue.</summary>
    public int CurrentQueueSize { get; init; }

    /// <summary>Whether the next request finds no room.</summary>
    public bool IsQueueFull { get; init; }

    /// <summary>Whether nothing waits.</summary>
    public bool IsQueueEmpty { get; init; }

    /// <summary>How many requests wait for room in a full queue (<see cref="QueueFullPolicy.Wait"/>).</summary>
    public int WaitingForRoom { get; init; }

    /// <summary>How many batches are in the processor.</summary>
    public int ActiveBatches { get; init; }

    /// <summary>How many batches have been taken from the queue.</summary>
    public long TotalBatches { get; init; }

    /// <summary>How many batches were processed again as a whole after a failure.</summary>
    public long BatchRetries { get; init; }

    /// <summary>How many failed batches, and parts of them, were cut in halves.</summary>
    public long BatchSplits { get; init; }

    /// <summary>How many requests were submitted, refused ones included.</summary>
    public long SubmittedRequests { get; init; }

    /// <summary>How many requests got a response.</summary>
    public long CompletedRequests { get; init; }

    /// <summary>How many requests got an exception of the processor.</summary>
    public long FailedRequests { get; init; }

    /// <summary>How many requests were cancelled by their callers or by a shutdown.</summary>
    public long CancelledRequests { get; init; }

    /// <summary>How many requests ended in a <see cref="TimeoutException"/>.</summary>
    public long TimedOutRequests { get; init; }

    /// <summary>How many requests a full queue refused.</summary>
    public long RejectedRequests { get; init; }

    /// <summary>How many requests were dropped for newer ones.</summary>
    public long DroppedRequests { get; init; }

    /// <summary>How many requests outlived their timeout and went on (<see cref="RequestTimeoutAction.Continue"/>).</summary>
    public long OverdueRequests { get; init; }

    /// <summary>Sizes of the batches taken from the queue, in requests.</summary>
    public HistogramSnapshot BatchSizes { get; init; } = HistogramSnapshot.Empty;

    /// <summary>Waiting times from submission until taken into a batch, in milliseconds.</summary>
    public HistogramSnapshot WaitTimes { get; init; } = HistogramSnapshot.Empty;

    /// <summary>What <see cref="TimeoutStrategy.Adaptive"/> has learned and decided; null under another strategy.</summary>
    public AdaptiveDecision? Adaptive { get; init; }
}
