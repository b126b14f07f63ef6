using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Report;

public class SimulationRecorderTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(10);
    private readonly VirtualTimeProvider _clock = new();
    private readonly SimulationRecorder _recorder;

    public SimulationRecorderTests() => _recorder = NewRecorder(new ServiceObjectives(TimeSpan.FromMilliseconds(25), TimeSpan.FromMilliseconds(15)));

    [Test]
    public void Tokens_appear_at_the_end_of_their_step()
    {
        Sequence sequence = Accept(promptTokens: 8);
        RunStep(sequence, 0, 8);
        RunStep(sequence, 8, 1);
        _clock.Advance(Step);
        RunStep(sequence, 9, 1);
        End(sequence, CompletionReason.EosTokenReached);

        SimulationReport report = _recorder.Report(busy: 3 * Step);
        Assert.That(report.Latency.InterToken!.Count, Is.EqualTo(2));
        Assert.That(report.Latency.InterToken.Max, Is.EqualTo(20));
        Assert.That(report.Throughput.GeneratedTokens, Is.EqualTo(3));
        Assert.That(report.DurationSeconds, Is.EqualTo(0.040).Within(1e-9));
        Assert.That(report.Engine.Utilization, Is.EqualTo(0.75).Within(1e-9));
    }

    [TestCase(15, 10, ExpectedResult = 1)]
    [TestCase(16, 10, ExpectedResult = 0)]
    [TestCase(15, 20, ExpectedResult = 0)]
    public double Goodput_needs_the_first_token_and_the_mean_gap_in_time(int waitMs, int gapMs)
    {
        Sequence sequence = Accept(promptTokens: 8);
        _clock.Advance(TimeSpan.FromMilliseconds(waitMs));
        RunStep(sequence, 0, 8);
        _clock.Advance(TimeSpan.FromMilliseconds(gapMs) - Step);
        RunStep(sequence, 8, 1);
        End(sequence, CompletionReason.MaxTokensReached);
        return _recorder.Report(Step).Goodput.Share;
    }

    [Test]
    public void Latencies_are_from_arrival_to_start_first_token_and_end()
    {
        _clock.Advance(Step);
        Sequence sequence = Accept(promptTokens: 8);
        _clock.Advance(3 * Step);
        RunStep(sequence, 0, 8);
        RunStep(sequence, 8, 1);
        End(sequence, CompletionReason.EosTokenReached);
        LatencyReport latency = _recorder.Report(Step).Latency;
        Assert.That((latency.Queue!.Max, latency.TimeToFirstToken!.Max, latency.EndToEnd!.Max), Is.EqualTo((30.0, 40.0, 50.0)));
    }

    [TestCase(100, ExpectedResult = 1)]
    [TestCase(99, ExpectedResult = 0)]
    public double One_slow_gap_in_a_hundred_meets_the_p99_objective_and_more_do_not(int gaps)
    {
        SimulationRecorder recorder = NewRecorder(new ServiceObjectives(P99InterTokenLatency: TimeSpan.FromMilliseconds(15)));
        Sequence sequence = Accept(promptTokens: 8, recorder);
        RunStep(sequence, 0, 8, recorder);
        _clock.Advance(TimeSpan.FromSeconds(1));
        for (int i = 0; i < gaps; i++)
        {
            RunStep(sequence, 8 + i, 1, recorder);
        }

        End(sequence, CompletionReason.MaxTokensReached, recorder: recorder);
        return recorder.Report(Step).Goodput.Share;
    }

    [Test]
    public void Prompt_tokens_computed_again_after_a_preemption_are_no_new_service()
    {
        Sequence sequence = Accept(promptTokens: 8);
        RunStep(sequence, 0, 5);
        RunStep(sequence, 0, 8);
        Assert.That(_recorder.Report(Step).Fairness.Tenants.Single().Service, Is.EqualTo(8 + 2));
    }

    [Test]
    public void Cached_prompt_tokens_are_no_service_and_count_as_hits()
    {
        Sequence sequence = Accept(promptTokens: 8);
        RunStep(sequence, 6, 2);
        _recorder.RecordRequestCompletion(Result(sequence, CompletionReason.EosTokenReached) with { PromptTokens = 8, CachedPromptTokens = 6 });
        SimulationReport report = _recorder.Report(Step);
        Assert.That(report.Fairness.Tenants.Single().Service, Is.EqualTo(2 + 2));
        Assert.That(report.Engine.CacheHitRate, Is.EqualTo(0.75));
    }

    [Test]
    public void Every_ending_is_counted_once_by_its_reason()
    {
        foreach (CompletionReason reason in Enum.GetValues<CompletionReason>())
        {
            Sequence sequence = Accept(promptTokens: 8);
            RunStep(sequence, 0, 8);
            End(sequence, reason);
        }

        End(Accept(promptTokens: 8), CompletionReason.Cancelled);

        var refused = RequestId.New();
        _recorder.Arrive(new Arrival(TimeSpan.Zero, [new PromptSegment(0, 8)], 1), refused);
        _recorder.Reject(refused, RejectionReason.QueueDelay);

        RequestCounts counts = _recorder.Report(Step).Requests;
        Assert.That((counts.Arrived, counts.Completed, counts.TimedOut, counts.Cancelled, counts.Failed), Is.EqualTo((9, 4, 1, 2, 1)));
        Assert.That(counts.Rejected, Is.EqualTo(new Dictionary<RejectionReason, int> { [RejectionReason.QueueDelay] = 1 }));
        Assert.That((_recorder.Alive, _recorder.Ended), Is.EqualTo((0, 9)));
    }

    [Test]
    public void A_request_that_never_ended_makes_the_measurement_worthless()
    {
        Sequence sequence = Accept(promptTokens: 8);
        Assert.That(_recorder.ThrowIfIncomplete, Throws.InvalidOperationException.With.Message.Contains(sequence.Request.Id.ToString()));
        End(sequence, CompletionReason.Cancelled);
        Assert.That(_recorder.ThrowIfIncomplete, Throws.Nothing);
    }

    [Test]
    public void A_fault_of_the_scheduler_makes_the_measurement_worthless()
    {
        _recorder.RecordError("SchedulerFault", new InvalidDataException("cause"));
        Assert.That(_recorder.ThrowIfIncomplete, Throws.InvalidOperationException.With.InnerException.Message.EqualTo("cause"));
    }

    [Test]
    public void The_peak_of_the_cache_is_a_share_of_it()
    {
        _recorder.RecordIteration(new IterationMeasurement { MemoryBytesUsed = 256 });
        _recorder.RecordIteration(new IterationMeasurement { MemoryBytesUsed = 128 });
        Assert.That(_recorder.Report(Step).Engine.PeakCacheUse, Is.EqualTo(0.25));
    }

    [Test]
    public void The_peak_of_the_queue_counts_what_has_not_started()
    {
        Sequence first = Accept(8);
        Sequence second = Accept(8);
        RunStep(first, 0, 8);
        _ = Accept(8);
        RunStep(second, 0, 8);
        Assert.That(_recorder.Report(Step).Engine.PeakQueuedRequests, Is.EqualTo(2));
    }

    [Test]
    public void A_report_of_nothing_has_no_latencies_and_divides_by_nothing()
    {
        SimulationReport report = _recorder.Report(TimeSpan.Zero);
        Assert.That(report.Latency, Is.EqualTo(new LatencyReport(null, null, null, null)));
        Assert.That((report.Engine.Utilization, report.Goodput.Share, report.Fairness.JainIndex), Is.EqualTo((0.0, 0.0, 1.0)));
    }

    private SimulationRecorder NewRecorder(ServiceObjectives objectives) => new(_clock, new SimulationOptions(ModelPreset.Cpu with { Cache = new KVCacheConfiguration(64) }) { Objectives = objectives });

    private Sequence Accept(int promptTokens, SimulationRecorder? recorder = null)
    {
        recorder ??= _recorder;
        int[] prompt = [.. Enumerable.Range(10, promptTokens)];
        var id = RequestId.New();
        RequestTimeline timeline = recorder.Arrive(new Arrival(_clock.Elapsed, [new PromptSegment(0, promptTokens)], 3), id);
        recorder.Accept(timeline);
        return new Sequence(new SimulatedRequest(id, prompt, 3, 100, Priority.Normal, _clock) { Timeline = timeline }, prompt);
    }

    private void RunStep(Sequence sequence, int start, int count, SimulationRecorder? recorder = null)
    {
        recorder ??= _recorder;
        var batch = new Batch(1);
        batch.AddScheduled(sequence, start, count);
        recorder.BeginStep(batch);
        _clock.Advance(Step);
        recorder.EndStep(batch);
        if (batch.Schedule[0].ProducesToken)
        {
            sequence.AppendToken(10);
        }
    }

    private void End(Sequence sequence, CompletionReason reason, SimulationRecorder? recorder = null) =>
        (recorder ?? _recorder).RecordRequestCompletion(Result(sequence, reason));

    private static RequestResult Result(Sequence sequence, CompletionReason reason) =>
        new(sequence.Request.Id, string.Empty, 3, reason, Step);
}
