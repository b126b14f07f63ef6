using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>
/// One simulation: the real scheduler with all its parts, a simulated model, a load, and a recorder, on one thread in virtual time.
/// </summary>
public sealed class SimulationRun
{
    /// <summary>Accepted work is never given up: a drain ends when the last answer does.</summary>
    private static readonly TimeSpan DrainTimeout = Timeout.InfiniteTimeSpan;

    private readonly SimulationOptions _options;
    private readonly SimulationContext _context = new(new VirtualTimeProvider());
    private readonly SimulationRecorder _recorder;
    private readonly PromptSynthesizer _prompts;

    private SimulationRun(SimulationOptions options)
    {
        _options = options;
        _recorder = new SimulationRecorder(_context.Clock, options);
        _prompts = new PromptSynthesizer(options.Seed);
    }

    /// <summary>Runs a load to its end.</summary>
    /// <param name="load">Requests in order of arrival; taken one by one as virtual time passes.</param>
    /// <param name="options">What to run it on.</param>
    /// <param name="progress">Told at every arrival, on this thread; null for nobody.</param>
    /// <param name="cancellationToken">Gives the simulation up at the next arrival.</param>
    /// <returns>What was measured.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="load"/> or <paramref name="options"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A member of <paramref name="options"/> is out of its range.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="InvalidOperationException">The scheduler reported a fault, lost a request, or stalled: a defect of the scheduler.</exception>
    public static SimulationReport Execute(
        IEnumerable<Arrival> load,
        SimulationOptions options,
        IProgress<SimulationProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(load);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return new SimulationRun(options).Execute(load, progress, cancellationToken);
    }

    private SimulationReport Execute(IEnumerable<Arrival> load, IProgress<SimulationProgress>? progress, CancellationToken cancellationToken)
    {
        VirtualTimeProvider clock = _context.Clock;
        ModelPreset preset = _options.Preset;
        PrefillConfiguration prefill = _options.EffectivePrefill;
        using var executor = new SimulatedModelExecutor(preset.Cost, clock, _options.Seed);
        using var queue = new RequestQueue(policy: _options.Policy, timeProvider: clock);
        using var cache = new PagedKVCacheManager(preset.Cache, prefill, clock);
        using var scheduler = new ContinuousBatchScheduler(
            queue,
            new BatchManager(queue, cache, _options.BatchConstraints, prefill, clock),
            new CompletionDetector(new CompletionConfiguration(SimulatedTokenizer.EosTokenId), new SimulatedTokenizer()),
            new CapacityManager(_options.CapacityConstraints, timeProvider: clock),
            new MeasuredExecutor(executor, _recorder),
            _recorder,
            _options.SchedulerConfiguration,
            clock,
            loopHost: new SimulationLoopHost(_context));
        _context.Run(async () =>
        {
            scheduler.Start();
            await PlayAsync(load, scheduler, progress, cancellationToken);
            await scheduler.StopAsync(DrainTimeout);
        });
        _recorder.ThrowIfIncomplete();
        progress?.Report(new SimulationProgress(_recorder.Arrived, _recorder.Ended, clock.Elapsed));
        return _recorder.Report(executor.BusyTime);
    }

    private async Task PlayAsync(
        IEnumerable<Arrival> load, ContinuousBatchScheduler scheduler, IProgress<SimulationProgress>? progress, CancellationToken cancellationToken)
    {
        using var timer = new ExactTimer<bool>(_context.Clock);
        foreach (Arrival arrival in load)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TimeSpan wait = arrival.Time - _context.Clock.Elapsed;
            if (wait > TimeSpan.Zero)
            {
                await timer.CompleteAfter(wait, true, cancellationToken);
            }

            Submit(arrival, scheduler);
            progress?.Report(new SimulationProgress(_recorder.Arrived, _recorder.Ended, _context.Clock.Elapsed));
        }
    }

    private void Submit(Arrival arrival, ContinuousBatchScheduler scheduler)
    {
        RequestId id = new(new Guid(_recorder.Arrived + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        RequestTimeline timeline = _recorder.Arrive(arrival, id);
        SimulatedRequest request = RequestFor(arrival, id, timeline);
        timeline.EstimatedWait = scheduler.EstimateWaitTime(request.Priority);
        Task<string> answer;
        try
        {
            answer = scheduler.EnqueueAsync(request, request.Priority);
        }
        catch (PromptTooLongException)
        {
            _recorder.RejectTooLong(id);
            return;
        }

        if (answer.Exception?.InnerException is RequestRejectedException refusal)
        {
            _recorder.Reject(id, refusal.Reason);
        }
        else
        {
            _recorder.Accept(timeline);
        }
    }

    private SimulatedRequest RequestFor(Arrival arrival, RequestId id, RequestTimeline timeline)
    {
        bool seesPriority = _options.Order is SchedulingOrder.Full or SchedulingOrder.Priority;
        bool seesTenant = _options.Order is SchedulingOrder.Full or SchedulingOrder.TenantFair;
        return new SimulatedRequest(
            id,
            _prompts.Synthesize(arrival),
            arrival.OutputTokens,
            Math.Max(_options.MaxTokens, arrival.OutputTokens),
            seesPriority ? arrival.Priority : Priority.Normal,
            _context.Clock)
        {
            Timeline = timeline,

            // The order must not change who shares prefixes with whom.
            Options = GenerationOptions.Default with { Tenant = seesTenant ? arrival.Tenant : string.Empty, CacheSalt = arrival.Tenant },
        };
    }
}
