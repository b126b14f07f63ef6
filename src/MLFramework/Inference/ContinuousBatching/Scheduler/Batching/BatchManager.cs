namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Keeps the running requests and plans each iteration over them: see <see cref="PrepareNextIteration"/>.
/// </summary>
/// <remarks>
/// One thread drives it (the scheduler's owner, or a caller's loop); <see cref="ActiveRequestCount"/>, <see cref="HasCapacity"/> and
/// <see cref="GetStats"/> may be read from any. Used by hand: prepare, compute, append each request's token to
/// <see cref="Request.GeneratedTokenIds"/>, remove those that ended, and prepare again.
/// </remarks>
public class BatchManager
{
    private readonly RequestQueue _queue;
    private readonly ICacheClaims _claims;
    private readonly BatchConstraints _constraints;
    private readonly TimeProvider _time;
    private readonly RunningSet _running = new();
    private readonly BatchPlanner _planner;
    private readonly Lock _statsLock = new();
    private BatchStats _stats = new(0, 0, 0, 0, TimeSpan.Zero);
    private (int Id, int Size, long Bytes, TimeSpan Duration) _last;
    private bool _hasStopped;
    private int _activeCount;
    private int _nextBatchId;
    private bool _isPending;

    /// <summary>Makes a manager with nothing running.</summary>
    /// <param name="queue">Where waiting requests come from.</param>
    /// <param name="kvCacheManager">Where keys and values are kept.</param>
    /// <param name="constraints">Limits of a batch.</param>
    /// <param name="prefill">Limits of prefill; null for <see cref="PrefillConfiguration.Default"/>.</param>
    /// <param name="timeProvider">Clock; null for the queue's.</param>
    /// <exception cref="ArgumentNullException">A required argument is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit is out of its range.</exception>
    public BatchManager(
        RequestQueue queue,
        IKVCacheManager kvCacheManager,
        BatchConstraints constraints,
        PrefillConfiguration? prefill = null,
        TimeProvider? timeProvider = null)
    {
        ArgumentNullException.ThrowIfNull(queue);
        ArgumentNullException.ThrowIfNull(kvCacheManager);
        ArgumentNullException.ThrowIfNull(constraints);
        constraints.Validate();
        prefill ??= PrefillConfiguration.Default;
        prefill.Validate();
        _queue = queue;
        _constraints = constraints;
        _time = timeProvider ?? queue.TimeProvider;
        Paged = kvCacheManager as IPagedKVCache;
        _claims = Paged is null
            ? new OpaqueClaims(kvCacheManager, constraints.MaxMemoryBytes)
            : new PagedClaims(Paged, constraints.MaxMemoryBytes);
        _planner = new BatchPlanner(queue, _claims, _running, constraints, prefill);
        CurrentBatch = NewBatch();
    }

    /// <summary>The batch prepared last; empty before the first.</summary>
    public Batch CurrentBatch { get; private set; }

    /// <summary>Requests that run.</summary>
    public int ActiveRequestCount => Volatile.Read(ref _activeCount);

    internal IPagedKVCache? Paged { get; }

    internal BatchConstraints Constraints => _constraints;

    internal RequestQueue Queue => _queue;

    internal IReadOnlyList<Sequence> Running => _running.ByRank;

    /// <summary>The running sequences, best rank first; valid until one joins or leaves.</summary>
    internal ReadOnlySpan<Sequence> RunningSpan => _running.Span;

    internal BatchPlanner Planner => _planner;

    internal long UsageBytes => _claims.UsageBytes;

    /// <summary>Most tokens that a request may have in prompt and response together: the context, or the whole cache if that is smaller.</summary>
    internal int MaxSequenceTokens => (int)Math.Min(_constraints.MaxSequenceLength, _claims.MaxSequenceTokens);

    /// <summary>
    /// Plans the next iteration: a token for each decoding request, then prefill chunks, then waiting requests, within the limits. The batch before it
    /// counts as computed. Requests that are completed or cancelled leave first.
    /// </summary>
    /// <returns>What to compute; empty when nothing can run. The same object may come back from a later call.</returns>
    public Batch PrepareNextIteration()
    {
        CommitPending();
        TakeGeneratedTokens();
        RefreshBatch();
        Plan(IterationLimits.None, gate: null);
        foreach (Sequence sequence in _planner.Unservable)
        {
            Stop(sequence);
            sequence.Request.IsCompleted = true;
            sequence.Request.CompletionSource.TrySetException(new SequenceTooLargeException(sequence.Request.Id, sequence.TokenCount));
        }

        return CurrentBatch;
    }

    /// <summary>Takes requests out of the running set and frees what they hold; those that do not run are passed over.</summary>
    /// <param name="completedRequests">Which requests.</param>
    /// <exception cref="ArgumentNullException"><paramref name="completedRequests"/> is null.</exception>
    public void RemoveCompletedRequests(List<RequestId> completedRequests)
    {
        ArgumentNullException.ThrowIfNull(completedRequests);
        var ids = completedRequests.ToHashSet();
        foreach (Sequence sequence in _running.Span)
        {
            if (ids.Contains(sequence.Request.Id))
            {
                Stop(sequence);
            }
        }

        RemoveStopped();
    }

    /// <summary>Whether one more request could run now: a slot is free, and memory for one more block.</summary>
    public bool HasCapacity() => ActiveRequestCount < _constraints.MaxBatchSize && _claims.HasRoom;

    /// <summary>Takes out requests that are completed or whose token has fired, and frees what they hold, without planning anything new.</summary>
    public void RefreshBatch()
    {
        foreach (Sequence sequence in _running.Span)
        {
            if (sequence.Request.IsCompleted || sequence.Request.CancellationToken.IsCancellationRequested)
            {
                Stop(sequence);
            }
        }

        RemoveStopped();
    }

    /// <summary>The batch prepared last, in numbers.</summary>
    public BatchStats GetStats()
    {
        lock (_statsLock)
        {
            if (_stats.BatchId != _last.Id || _stats.ProcessingTime != _last.Duration)
            {
                _stats = new BatchStats(_last.Id, _last.Size, _last.Bytes, UtilizationOf(_last.Size), _last.Duration);
            }

            return _stats;
        }
    }

    /// <summary>Size over the configured maximum, in percent.</summary>
    internal double UtilizationOf(int size) => 100.0 * size / _constraints.MaxBatchSize;

    /// <summary>Makes the plan of the next iteration into <see cref="CurrentBatch"/>.</summary>
    internal Batch Plan(in IterationLimits limits, IAdmissionGate? gate)
    {
        CurrentBatch.Recycle(_nextBatchId++, _time.GetUtcNow().UtcDateTime);
        _planner.Plan(CurrentBatch, limits, gate);
        _isPending = true;
        Volatile.Write(ref _activeCount, _running.Count);
        Publish(TimeSpan.Zero);
        return CurrentBatch;
    }

    /// <summary>One entry of the batch was computed: its positions hold keys and values.</summary>
    internal void CommitAt(int index)
    {
        ScheduledTokens scheduled = CurrentBatch.ScheduleAt(index);
        scheduled.Sequence.ComputedTokens = scheduled.End;
        _claims.Commit(scheduled.Sequence);
    }

    /// <summary>The batch was computed and what counts of it is committed.</summary>
    internal void EndCommit() => _isPending = false;

    /// <summary>The batch was not computed: nothing of it counts. Block copies that it owed are part of the next plan.</summary>
    /// <param name="mayStillRun">Whether the executor may still be reading the batch, so that it must not be used again.</param>
    internal void Abandon(bool mayStillRun)
    {
        _isPending = false;
        if (mayStillRun)
        {
            CurrentBatch = NewBatch();
        }
    }

    internal void Publish(TimeSpan duration)
    {
        lock (_statsLock)
        {
            _last = (CurrentBatch.BatchId, CurrentBatch.Size, CurrentBatch.EstimatedMemoryBytes, duration);
        }
    }

    /// <summary>Frees what a sequence holds, wherever it is. The running set forgets it at the next <see cref="RemoveStopped"/>.</summary>
    internal void Stop(Sequence sequence)
    {
        try
        {
            if (sequence.State == SequenceState.Running)
            {
                _hasStopped = true;
                _claims.Release(sequence);
            }
            else if (sequence.State == SequenceState.AwaitingPrompt)
            {
                _planner.AwaitingPrompt.Remove(sequence);
            }
        }
        finally
        {
            sequence.MarkEnded();
            _queue.Detach(sequence);
        }
    }

    internal void RemoveStopped()
    {
        if (!_hasStopped)
        {
            return;
        }

        _hasStopped = false;
        _running.RemoveStopped();
        Volatile.Write(ref _activeCount, _running.Count);
    }

    private void CommitPending()
    {
        for (int i = 0; _isPending && i < CurrentBatch.Size; i++)
        {
            if (CurrentBatch.ScheduleAt(i).Sequence.State == SequenceState.Running)
            {
                CommitAt(i);
            }
        }

        EndCommit();
    }

    private Batch NewBatch() => new(_nextBatchId++, _time);

    /// <summary>Used by hand: the caller appended tokens to the request, not to the sequence.</summary>
    private void TakeGeneratedTokens()
    {
        foreach (Sequence sequence in _running.Span)
        {
            List<int> generated = sequence.Request.GeneratedTokenIds;
            for (int i = sequence.TokenCount - sequence.PromptLength; i < generated.Count; i++)
            {
                sequence.AppendToken(generated[i]);
            }

            // Computed to the end and no token appended: the last position is computed again.
            sequence.ComputedTokens = Math.Min(sequence.ComputedTokens, sequence.TokenCount - 1);
        }
    }
}
