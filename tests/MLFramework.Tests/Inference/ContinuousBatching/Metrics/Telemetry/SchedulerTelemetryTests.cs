using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics.Telemetry;

public sealed class SchedulerTelemetryTests : IDisposable
{
    private const string Model = "tiny-1";

    private readonly SchedulerTelemetry _telemetry;
    private readonly MeterRecorder _recorder;
    private SchedulerGauges _gauges;

    public SchedulerTelemetryTests()
    {
        _telemetry = new SchedulerTelemetry(() => _gauges, Model);
        _recorder = new MeterRecorder(_telemetry.Meter);
    }

    public void Dispose()
    {
        _recorder.Dispose();
        _telemetry.Dispose();
    }

    [Test]
    public void The_meter_has_its_public_name() => Assert.That(_telemetry.Meter.Name, Is.EqualTo("MLFramework.Inference"));

    [TestCase("gen_ai.server.request.duration", new[] { 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92 })]
    [TestCase("gen_ai.server.time_to_first_token", new[] { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0 })]
    [TestCase("gen_ai.server.time_per_output_token", new[] { 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5 })]
    public void Conventional_histograms_are_in_seconds_with_the_prescribed_buckets(string name, double[] boundaries)
    {
        var histogram = (Histogram<double>)_recorder.Instruments[name];
        Assert.That(histogram.Unit, Is.EqualTo("s"));
        Assert.That(histogram.Advice!.HistogramBucketBoundaries, Is.EqualTo(boundaries));
    }

    [Test]
    public void A_completed_request_is_measured_in_seconds_under_the_conventional_names()
    {
        _telemetry.RequestFinished(Completed());
        var (duration, tags) = _recorder.Single("gen_ai.server.request.duration");
        Assert.That(duration, Is.EqualTo(3.2).Within(1e-9));
        Assert.That(tags, Is.EqualTo(new Dictionary<string, object?>
        {
            ["gen_ai.operation.name"] = "text_completion",
            ["gen_ai.provider.name"] = "mlframework",
            ["gen_ai.request.model"] = Model,
            ["mlframework.finish_reason"] = "stop_string",
        }));
        Assert.That(_recorder.Single("gen_ai.server.time_to_first_token").Value, Is.EqualTo(1.2).Within(1e-9));
        Assert.That(_recorder.Single("gen_ai.server.time_per_output_token").Value, Is.EqualTo(0.1).Within(1e-9), "2 s over the 20 tokens after the first");
        Assert.That(_recorder.Single("mlframework.request.finished").Tags["mlframework.finish_reason"], Is.EqualTo("stop_string"));
    }

    [Test]
    public void A_single_token_has_no_time_per_token_after_the_first()
    {
        _telemetry.RequestFinished(Completed() with { TokensGenerated = 1 });
        Assert.That(_recorder.Has("gen_ai.server.time_to_first_token"), Is.True);
        Assert.That(_recorder.Has("gen_ai.server.time_per_output_token"), Is.False);
    }

    [TestCase(CompletionReason.Timeout, "timeout")]
    [TestCase(CompletionReason.Failed, "System.InvalidOperationException")]
    [TestCase(CompletionReason.Cancelled, null)]
    public void An_unsuccessful_request_has_a_duration_and_no_token_times(CompletionReason reason, string? errorType)
    {
        _telemetry.RequestFinished(Completed() with { Reason = reason, Exception = new InvalidOperationException() });
        Assert.That(_recorder.Single("gen_ai.server.request.duration").Tags.GetValueOrDefault("error.type"), Is.EqualTo(errorType));
        Assert.That(_recorder.Has("gen_ai.server.time_to_first_token"), Is.False);
        Assert.That(_recorder.Has("gen_ai.server.time_per_output_token"), Is.False);
    }

    [Test]
    public void A_model_without_a_name_is_not_given_one()
    {
        using var telemetry = new SchedulerTelemetry(() => default, modelName: null);
        using var recorder = new MeterRecorder(telemetry.Meter);
        telemetry.RequestFinished(Completed());
        recorder.Observe();
        Assert.That(recorder.Measurements.SelectMany(measurement => measurement.Tags.Keys), Does.Not.Contain("gen_ai.request.model"));
    }

    [Test]
    public void An_iteration_is_measured()
    {
        _telemetry.IterationCompleted(new IterationMeasurement
        {
            RequestCount = 12, TokensGenerated = 11, PrefillTokens = 512, ProcessingTime = TimeSpan.FromMilliseconds(8),
        });
        Assert.That(_recorder.Single("mlframework.iteration.duration").Value, Is.EqualTo(0.008));
        Assert.That(_recorder.Single("mlframework.batch.size").Value, Is.EqualTo(12));
        Assert.That(_recorder.Single("mlframework.token.generated").Value, Is.EqualTo(11));
        Assert.That(_recorder.Single("mlframework.token.prompt").Value, Is.EqualTo(512));
    }

    [Test]
    public void Refusals_preemptions_and_errors_are_counted_by_reason()
    {
        _telemetry.RequestRejected(RejectionReason.TooManyTokens);
        _telemetry.Preempted(PreemptionReason.NoBlocksLeft);
        _telemetry.Error("ModelExecution");
        Assert.That(_recorder.Single("mlframework.request.rejected").Tags["mlframework.rejection_reason"], Is.EqualTo("too_many_tokens"));
        Assert.That(_recorder.Single("mlframework.request.preempted").Tags["mlframework.preemption_reason"], Is.EqualTo("no_blocks_left"));
        Assert.That(_recorder.Single("mlframework.error").Tags["error.type"], Is.EqualTo("ModelExecution"));
    }

    [Test]
    public void Prefix_lookups_count_what_was_looked_up_and_what_was_found()
    {
        _telemetry.PrefixLookup(queriedTokens: 100, cachedTokens: 64);
        Assert.That(_recorder.Single("mlframework.prefix_cache.query").Value, Is.EqualTo(100));
        Assert.That(_recorder.Single("mlframework.prefix_cache.hit").Value, Is.EqualTo(64));
    }

    [Test]
    public void Gauges_tell_the_levels_of_the_moment()
    {
        _gauges = new SchedulerGauges { QueuedRequests = 7, QueuedTokens = 900, RunningRequests = 3, ReferencedBlocks = 10, CachedBlocks = 5, FreeBlocks = 25 };
        _recorder.Observe();
        Assert.That(_recorder.Single("mlframework.request.queued").Value, Is.EqualTo(7));
        Assert.That(_recorder.Single("mlframework.token.queued").Value, Is.EqualTo(900));
        Assert.That(_recorder.Single("mlframework.request.running").Value, Is.EqualTo(3));
        Assert.That(_recorder.Single("mlframework.kv_cache.utilization").Value, Is.EqualTo(0.25));
        Assert.That(
            _recorder.Measurements.Where(measurement => measurement.Name == "mlframework.kv_cache.blocks")
                .Select(measurement => (measurement.Tags["mlframework.kv_cache.state"], measurement.Value)),
            Is.EquivalentTo(new (object?, double)[] { ("referenced", 10), ("cached", 5), ("free", 25) }));
    }

    [Test]
    public void A_cache_without_blocks_is_not_used() => Assert.That(default(SchedulerGauges).BlockUtilization, Is.Zero);

    [Test]
    public void A_disposed_schedulers_gauges_are_not_read()
    {
        bool read = false;
        var telemetry = new SchedulerTelemetry(
            () =>
            {
                read = true;
                return default;
            },
            Model);
        using var recorder = new MeterRecorder(telemetry.Meter);
        telemetry.Dispose();
        recorder.Observe();
        telemetry.RequestFinished(Completed());
        Assert.That(read, Is.False);
        Assert.That(recorder.Measurements, Is.Empty);
    }

    [Test]
    public void A_disposed_scheduler_is_not_kept_alive_by_its_gauges()
    {
        using var listener = new MeterListener { InstrumentPublished = (instrument, l) => l.EnableMeasurementEvents(instrument) };
        listener.Start();
        WeakReference scheduler = MakeAndDispose();
        GC.Collect();
        Assert.That(scheduler.IsAlive, Is.False);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static WeakReference MakeAndDispose()
        {
            object scheduler = new();
            var telemetry = new SchedulerTelemetry(() => new SchedulerGauges { QueuedRequests = scheduler.GetHashCode() }, Model);
            telemetry.Dispose();
            return new WeakReference(scheduler);
        }
    }

    [Test]
    public void Measuring_allocates_nothing_whether_or_not_somebody_listens()
    {
        using var unheard = new SchedulerTelemetry(() => default, Model);
        Assert.That(AllocatedBy(unheard), Is.Zero);

        using var heard = new SchedulerTelemetry(() => default, Model);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, l) =>
            {
                if (instrument.Meter == heard.Meter)
                {
                    l.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.Start();
        Assert.That(AllocatedBy(heard), Is.Zero);
    }

    private static long AllocatedBy(SchedulerTelemetry telemetry)
    {
        RequestResult result = Completed();
        RequestResult failed = result with { Reason = CompletionReason.Failed, Exception = new InvalidOperationException() };
        MeasureAll();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            MeasureAll();
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;

        void MeasureAll()
        {
            telemetry.IterationCompleted(new IterationMeasurement { RequestCount = 1, TokensGenerated = 1 });
            telemetry.RequestFinished(result);
            telemetry.RequestFinished(failed);
            telemetry.RequestRejected(RejectionReason.QueueDelay);
            telemetry.Preempted(PreemptionReason.HigherRankNeededBlocks);
            telemetry.PrefixLookup(100, 16);
            telemetry.Error("ModelExecution");
        }
    }

    /// <summary>0.2 s in the queue, 3 s running, first token after 1.2 s, 20 more after it.</summary>
    private static RequestResult Completed() =>
        new(RequestId.New(), "text", 21, CompletionReason.StopString, TimeSpan.FromSeconds(3))
        {
            QueueTime = TimeSpan.FromSeconds(0.2),
            TimeToFirstToken = TimeSpan.FromSeconds(1.2),
        };
}
