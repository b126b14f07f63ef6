namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The requests of one iteration and, when a <see cref="BatchManager"/> made it, the plan of that iteration: which
/// positions each request computes, and which KV blocks are copied first.
/// </summary>
/// <remarks>Not thread-safe: a batch has one owner, and an executor only reads it.</remarks>
public class Batch
{
    /// <summary>Up to this size a scan of the list beats a dictionary.</summary>
    private const int ScanLimit = 16;

    private readonly List<ScheduledTokens> _schedule = [];
    private readonly List<BlockCopy> _blockCopies = [];
    private Dictionary<RequestId, int>? _index;
    private bool _indexIsCurrent;

    /// <summary>Makes an empty batch.</summary>
    /// <param name="batchId">Sequential number of the batch.</param>
    /// <param name="timeProvider">Where <see cref="CreatedTime"/> is read from; null for the system's clock.</param>
    public Batch(int batchId, TimeProvider? timeProvider = null)
    {
        BatchId = batchId;
        CreatedTime = (timeProvider ?? TimeProvider.System).GetUtcNow().UtcDateTime;
    }

    /// <summary>Sequential number of the batch.</summary>
    public int BatchId { get; private set; }

    /// <summary>The requests, best rank first. Change it through <see cref="AddRequest"/> and <see cref="RemoveRequest"/>.</summary>
    public List<Request> Requests { get; } = [];

    /// <summary>When the batch was made (UTC).</summary>
    public DateTime CreatedTime { get; private set; }

    /// <summary>Requests in the batch.</summary>
    public int Size => Requests.Count;

    /// <summary>Bytes of KV cache that the requests hold or are estimated to need.</summary>
    public long EstimatedMemoryBytes { get; set; }

    /// <summary>What each request computes, in the order of <see cref="Requests"/>; empty for a batch made by hand.</summary>
    public IReadOnlyList<ScheduledTokens> Schedule => _schedule;

    /// <summary>Blocks to copy, in order, before anything is computed.</summary>
    public IReadOnlyList<BlockCopy> BlockCopies => _blockCopies;

    /// <summary>Positions to compute over all requests.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Adds a request at the end.</summary>
    /// <param name="request">The request.</param>
    /// <exception cref="ArgumentNullException"><paramref name="request"/> is null.</exception>
    /// <exception cref="ArgumentException">The batch holds a request of that id.</exception>
    public void AddRequest(Request request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (Contains(request.Id))
        {
            throw new ArgumentException($"Batch {BatchId} already holds request {request.Id}; a request computes once per iteration.", nameof(request));
        }

        Requests.Add(request);
        _indexIsCurrent = false;
    }

    /// <summary>Removes a request and what it was scheduled to compute; nothing happens when it is not in the batch.</summary>
    /// <param name="requestId">Which request.</param>
    public void RemoveRequest(RequestId requestId)
    {
        int at = IndexOf(requestId);
        if (at < 0)
        {
            return;
        }

        Requests.RemoveAt(at);
        _indexIsCurrent = false;
        if (at < _schedule.Count)
        {
            TokenCount -= _schedule[at].Count;
            _schedule.RemoveAt(at);
        }
    }

    /// <summary>Whether a request is in the batch.</summary>
    /// <param name="requestId">Which request.</param>
    public bool Contains(RequestId requestId) => IndexOf(requestId) >= 0;

    /// <summary>The request of an id, or null when it is not in the batch.</summary>
    /// <param name="requestId">Which request.</param>
    public Request? GetRequest(RequestId requestId)
    {
        int at = IndexOf(requestId);
        return at < 0 ? null : Requests[at];
    }

    /// <summary>Adds a request that is known not to be in the batch, with what it computes.</summary>
    internal void AddScheduled(Sequence sequence, int start, int count)
    {
        Requests.Add(sequence.Request);
        _schedule.Add(new ScheduledTokens(sequence, start, count));
        TokenCount += count;
        _indexIsCurrent = false;
    }

    internal ScheduledTokens ScheduleAt(int index) => _schedule[index];

    internal List<BlockCopy> MutableBlockCopies => _blockCopies;

    /// <summary>Makes the batch empty again under a new number, so that a steady loop allocates no batches.</summary>
    internal void Recycle(int batchId, DateTime createdTime)
    {
        BatchId = batchId;
        CreatedTime = createdTime;
        EstimatedMemoryBytes = 0;
        TokenCount = 0;
        Requests.Clear();
        _schedule.Clear();
        _blockCopies.Clear();
        _indexIsCurrent = false;
    }

    private int IndexOf(RequestId id)
    {
        if (Requests.Count > ScanLimit)
        {
            BuildIndex();
            return _index!.GetValueOrDefault(id, -1);
        }

        for (int i = 0; i < Requests.Count; i++)
        {
            if (Requests[i].Id == id)
            {
                return i;
            }
        }

        return -1;
    }

    private void BuildIndex()
    {
        if (_indexIsCurrent && _index!.Count == Requests.Count)
        {
            return;
        }

        _index ??= new Dictionary<RequestId, int>(Requests.Count);
        _index.Clear();
        for (int i = 0; i < Requests.Count; i++)
        {
            _index[Requests[i].Id] = i;
        }

        _indexIsCurrent = true;
    }
}
