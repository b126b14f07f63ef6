using Microsoft.Extensions.Logging;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// One iteration: drain, plan, run, commit. The plan is a value; a run that fails commits nothing, so it can be retried, split or
/// abandoned. Owner thread only.
/// </summary>
internal sealed partial class IterationEngine
{
    /// <summary>Most tokens of response that room is reserved for; a longer one grows by doubling.</summary>
    private const int LongestReservation = 4096;

    private readonly RequestQueue _queue;
    private readonly BatchManager _batches;
    private readonly CompletionDetector _detector;
    private readonly CapacityManager _capacity;
    private readonly RequestRegistry _registry;
    private readonly RequestFinisher _finisher;
    private readonly ModelRunner _runner;
    private readonly WaitEstimator _estimator;
    private readonly BusyShare _busy;
    private readonly GuardedMetrics _metrics;
    private readonly SchedulerTelemetry _telemetry;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CapacityGate _gate;
    private readonly PrefillGovernor _governor;
    private readonly FaultIsolation _isolation;
    private bool _hadBacklog;
    private int _iterations;
    private double _utilizationSum;

    public IterationEngine(
        RequestQueue queue,
        BatchManager batches,
        CompletionDetector detector,
        CapacityManager capacity,
        RequestRegistry registry,
        RequestFinisher finisher,
        ModelRunner runner,
        WaitEstimator estimator,
        BusyShare busy,
        GuardedMetrics metrics,
        SchedulerTelemetry telemetry,
        SchedulerConfiguration configuration,
        TimeProvider time,
        ILogger logger)
    {
        _queue = queue;
        _batches = batches;
        _detector = detector;
        _capacity = capacity;
        _registry = registry;
        _finisher = finisher;
        _runner = runner;
        _estimator = estimator;
        _busy = busy;
        _metrics = metrics;
        _telemetry = telemetry;
        _time = time;
        _logger = logger;
        _gate = new CapacityGate(capacity);
        _governor = new PrefillGovernor(configuration);
        _isolation = new FaultIsolation(configuration.MaxRetries);
        WarmupIterations = configuration.WarmupIterations;
    }

    /// <summary>Iterations so far that computed something.</summary>
    public int Iterations => Volatile.Read(ref _iterations);

    /// <summary>Timestamp of the last <see cref="Drain"/>.</summary>
    public long LastDrain { get; private set; } = long.MinValue;

    /// <summary>Mean batch utilization over all iterations, in percent.</summary>
    public double MeanUtilization => Volatile.Read(ref _utilizationSum) / Math.Max(1, Iterations);

    private int WarmupIterations { get; }

    /// <summary>Runs one iteration.</summary>
    /// <param name="stop">Gives the run up; nothing of it is then committed.</param>
    /// <returns>What it did; no requests when there was nothing to compute.</returns>
    public async ValueTask<IterationMeasurement> IterateAsync(CancellationToken stop)
    {
        long start = _time.GetTimestamp();
        int endedBefore = _finisher.Totals.All;
        Drain(start);
        Batch batch = Plan(start);
        while (batch.Size == 0 && _isolation.CurrentGroup != 0)
        {
            // Nobody of the suspects is left to run: on to the next group, now, since the loop parks after an empty pass.
            _batches.Abandon(mayStillRun: false);
            _isolation.OnGroupDone();
            batch = Plan(start);
        }

        if (batch.Size == 0)
        {
            _batches.Abandon(mayStillRun: false);
            return new IterationMeasurement { RequestsCompleted = _finisher.Totals.All - endedBefore };
        }

        int batchId = batch.BatchId;
        int size = batch.Size;
        int tokens = batch.TokenCount;
        int decodes = _batches.Planner.DecodeCount;
        long runStart = _time.GetTimestamp();
        TimeSpan expected = _runner.Expect(batch);
        _estimator.RecordRunStart(runStart, expected.TotalSeconds, _batches.Planner.PrefillLeft);
        RunOutcome outcome = await _runner.RunAsync(batch, expected, stop);
        long runEnd = _time.GetTimestamp();
        double seconds = _time.GetElapsedTime(runStart, runEnd).TotalSeconds;
        _busy.Add(seconds);

        int generated = 0;
        if (outcome.Output is { } output)
        {
            generated = Commit(batch, output, runEnd);
            _governor.Observe(decodes, tokens - decodes, seconds);
        }
        else
        {
            OnFailure(batch, outcome, stop);
        }

        _batches.RemoveStopped();
        long end = _time.GetTimestamp();
        Volatile.Write(ref _iterations, _iterations + 1);
        var measurement = new IterationMeasurement
        {
            IterationNumber = _iterations,
            BatchId = batchId,
            RequestCount = size,
            TokensGenerated = generated,
            PrefillTokens = outcome.Output is null ? 0 : tokens - decodes,
            RequestsCompleted = _finisher.Totals.All - endedBefore,
            ProcessingTime = _time.GetElapsedTime(start, end),
            ExecutionTime = _time.GetElapsedTime(runStart, runEnd),
            MemoryBytesUsed = _batches.UsageBytes,
            Utilization = _batches.UtilizationOf(size),
        };
        Report(measurement);
        return measurement;
    }

    /// <summary>Carries out cancellations and time limits, wherever the requests are. What they held is free before the plan is made.</summary>
    public void Drain(long now)
    {
        LastDrain = now;
        while (_registry.TryTakeCancelled(out Sequence? cancelled))
        {
            _finisher.End(cancelled, CompletionReason.Cancelled);
        }

        while (_queue.TakeExpired(now) is { } expired)
        {
            EndExpired(expired);
        }

        foreach (Sequence sequence in _batches.RunningSpan)
        {
            if (sequence.LimitTimestamp <= now)
            {
                EndExpired(sequence);
            }
        }

        List<Sequence> awaiting = _batches.Planner.AwaitingPrompt;
        for (int i = awaiting.Count - 1; i >= 0; i--)
        {
            if (awaiting[i].LimitTimestamp <= now)
            {
                EndExpired(awaiting[i]);
            }
        }

        _batches.RemoveStopped();
    }

    /// <summary>Ends everything that is alive, but for what is just being admitted.</summary>
    public void EndAll(CompletionReason reason, Exception? error)
    {
        foreach (Sequence sequence in _registry.Snapshot())
        {
            if (sequence.IsAdmitted)
            {
                _finisher.End(sequence, reason, error);
            }
        }

        _batches.RemoveStopped();
    }

    private void EndExpired(Sequence sequence)
    {
        TimeSpan age = _time.GetElapsedTime(sequence.EnqueuedTimestamp);
        string where = sequence.StartedTimestamp is null ? "while it waited" : $"after {sequence.Request.GeneratedTokenIds.Count} tokens";
        _finisher.End(sequence, CompletionReason.Timeout, new TimeoutException(
            $"Request {sequence.Request.Id} met its deadline or time limit {age.TotalSeconds:0.###} s after it was accepted, {where}."));
    }

    private Batch Plan(long now)
    {
        Batch batch = _batches.Plan(new IterationLimits(_governor, _isolation.CurrentGroup), _gate);
        BatchPlanner planner = _batches.Planner;
        foreach (Sequence sequence in planner.Unservable)
        {
            _finisher.End(sequence, CompletionReason.Failed, new SequenceTooLargeException(sequence.Request.Id, sequence.TokenCount));
        }

        foreach ((Sequence sequence, PreemptionReason reason) in planner.Preempted)
        {
            _telemetry.Preempted(reason);
            sequence.Trace?.Preempted(reason, _time.GetUtcNow());
        }

        foreach (Sequence sequence in planner.Started)
        {
            OnStarted(sequence, now);
        }

        if (planner.Started.Count > 0)
        {
            _estimator.RecordStarts(planner.Started.Count, _hadBacklog, now);
        }

        _hadBacklog = !_queue.IsEmpty;
        return batch;
    }

    private void OnStarted(Sequence sequence, long now)
    {
        _telemetry.PrefixLookup(sequence.TokenCount, sequence.ComputedTokens);
        sequence.Trace?.Scheduled(sequence.ComputedTokens, _time.GetUtcNow());
        if (sequence.StartedTimestamp is not null)
        {
            return;
        }

        sequence.StartedTimestamp = now;
        sequence.CachedPromptTokens = sequence.ComputedTokens;
        sequence.Account?.Charge(_queue.Policy.PromptTokenWeight * (sequence.PromptLength - sequence.CachedPromptTokens));

        // Room for the response now, so that its steady decode allocates nothing; but not for all that a caller may allow and rarely gets.
        int response = Math.Min(Math.Min(sequence.Request.MaxTokens, LongestReservation), _batches.MaxSequenceTokens - sequence.PromptLength);
        sequence.EnsureTokenCapacity(sequence.PromptLength + response);
        sequence.Request.GeneratedTokenIds.EnsureCapacity(response);
        if (_batches.Paged is { } paged)
        {
            sequence.Blocks.EnsureCapacity(((sequence.PromptLength + response) / paged.BlockSize) + 1);
        }
    }

    /// <summary>Appends the tokens, streams them, ends what is complete.</summary>
    /// <returns>Tokens generated.</returns>
    private int Commit(Batch batch, BatchOutput output, long now)
    {
        if (_isolation.CurrentGroup != 0)
        {
            _isolation.OnGroupDone();
        }

        int generated = 0;
        ReadOnlySpan<int> tokens = _runner.Tokens;
        for (int i = 0; i < batch.Size; i++)
        {
            ScheduledTokens scheduled = batch.ScheduleAt(i);
            if (DefectOf(scheduled, output, tokens[i], out TokenLogProbs? logProbs) is { } defect)
            {
                // Before its blocks are committed: what it computed must not be found by others.
                Fail(scheduled.Sequence, defect);
                continue;
            }

            _batches.CommitAt(i);
            if (scheduled.ProducesToken)
            {
                generated++;
                Append(scheduled.Sequence, tokens[i], logProbs, now);
                EndIfComplete(scheduled.Sequence, output.IsEosReached[i]);
            }
        }

        _batches.EndCommit();
        return generated;
    }

    private void Append(Sequence sequence, int token, TokenLogProbs? logProbs, long now)
    {
        Request request = sequence.Request;
        sequence.AppendToken(token);
        request.GeneratedTokenIds.Add(token);
        request.GeneratedTokens = request.GeneratedTokenIds.Count;
        sequence.Account?.Charge(_queue.Policy.GeneratedTokenWeight);
        if (sequence.FirstTokenTimestamp is null)
        {
            sequence.FirstTokenTimestamp = now;
            sequence.Trace?.FirstToken(_time.GetUtcNow());
        }

        if (logProbs is not null)
        {
            (sequence.LogProbs ??= []).Add(logProbs);
        }

        request.Stream?.Write(token, logProbs);
        if (_capacity.ChargesTokens)
        {
            _capacity.UpdateUsage(request.Id, sequence.TokenCount);
        }
    }

    private void EndIfComplete(Sequence sequence, bool isEos)
    {
        bool isComplete;
        CompletionReason reason;
        try
        {
            (isComplete, reason) = _detector.CheckCompletion(sequence.Request);
        }
        catch (Exception e)
        {
            // A tokenizer that cannot decode what its model generates: one request's trouble, not the batch's.
            Fail(sequence, e);
            return;
        }

        if (isComplete)
        {
            _finisher.End(sequence, reason);
        }
        else if (isEos && sequence.Request.Options?.IgnoreEos != true)
        {
            _finisher.End(sequence, CompletionReason.EosTokenReached);
        }
        else if (sequence.TokenCount >= _batches.Constraints.MaxSequenceLength)
        {
            _finisher.End(sequence, CompletionReason.LengthReached);
        }
    }

    /// <summary>What is wrong with one request's part of an output that is well-formed as a whole.</summary>
    private static Exception? DefectOf(in ScheduledTokens scheduled, BatchOutput output, int token, out TokenLogProbs? logProbs)
    {
        Request request = scheduled.Request;
        logProbs = null;
        if (output.Failures is not null && output.Failures.TryGetValue(request.Id, out Exception? failure))
        {
            return failure ?? new ModelOutputException($"The executor reported that request {request.Id} failed, without an error that says why.");
        }

        if (!scheduled.ProducesToken)
        {
            return null;
        }

        if (!OutputCheck.HasFiniteLogit(output, request.Id, token))
        {
            return new ModelOutputException($"The logit of request {request.Id}'s token {token} is not a finite number; the model's weights or its keys and values are damaged.");
        }

        if (request.Options?.TopLogProbs is not { } top)
        {
            return null;
        }

        try
        {
            logProbs = OutputCheck.LogProbsOf(output, request.Id, token, top);
            return null;
        }
        catch (Exception e) when (e is ModelOutputException or ArgumentOutOfRangeException)
        {
            return e;
        }
    }

    private void OnFailure(Batch batch, RunOutcome outcome, CancellationToken stop)
    {
        Exception error = outcome.Error!;
        bool isStopping = stop.IsCancellationRequested && error is OperationCanceledException;
        Sequence? culprit = isStopping ? null : _isolation.OnFailure(batch);
        _batches.Abandon(outcome.MayStillRun);
        if (isStopping)
        {
            return;
        }

        string kind = error is TimeoutException ? "IterationTimeout" : error.GetType().Name;
        LogFailure(_logger, batch.Size, error);
        _metrics.RecordError(kind, error);
        _telemetry.Error(kind);
        if (culprit is not null)
        {
            _finisher.End(culprit, CompletionReason.Failed, error);
        }
    }

    private void Fail(Sequence sequence, Exception error)
    {
        string kind = error.GetType().Name;
        _metrics.RecordError(kind, error);
        _telemetry.Error(kind);
        _finisher.End(sequence, CompletionReason.Failed, error);
    }

    private void Report(in IterationMeasurement measurement)
    {
        _batches.Publish(measurement.ExecutionTime);
        Volatile.Write(ref _utilizationSum, _utilizationSum + measurement.Utilization);
        _metrics.RecordIteration(measurement);
        _telemetry.IterationCompleted(measurement);
        if (_iterations > WarmupIterations)
        {
            bool hadMore = _hadBacklog || _batches.Planner.PrefillLeft > 0;
            _estimator.RecordIteration(measurement.ProcessingTime.TotalSeconds, measurement.PrefillTokens, hadMore);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The model failed a batch of {Size} requests; it will be retried, then split.")]
    private static partial void LogFailure(ILogger logger, int size, Exception exception);

    private sealed class CapacityGate(CapacityManager capacity) : IAdmissionGate
    {
        public bool TryEnter(Sequence sequence) => capacity.TryAllocate(sequence.Request, out _);

        public void Leave(Sequence sequence) => capacity.Release(sequence.Request.Id);
    }
}
