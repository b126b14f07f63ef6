using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics;

public sealed class SchedulerMetricsCollectorTests : IDisposable
{
    private readonly VirtualTimeProvider _clock = new();
    private readonly SchedulerMetricsCollector _collector;

    public SchedulerMetricsCollectorTests() => _collector = new(MetricsConfiguration.Default, _clock);

    public void Dispose() => _collector.Dispose();

    // ---- recording

    [Test]
    public void A_recorded_request_is_kept_with_its_measured_times()
    {
        Advance(1);
        RequestResult result = Result(CompletionReason.StopString, tokens: 9, queueMs: 30, processingMs: 70);
        _collector.RecordRequestCompletion(result);
        Assert.That(_collector.GetRecentRequests(), Is.EqualTo(new[]
        {
            new RequestMetrics(result.RequestId, 9, CompletionReason.StopString, Ms(30), Ms(70), Ms(100), _clock.GetUtcNow().UtcDateTime),
        }));
    }

    [Test]
    public void A_recorded_iteration_is_kept_with_its_batch()
    {
        Advance(1);
        Observe(iteration: 5, batch: 17, requests: 8, tokens: 6, ended: 2, milliseconds: 12, bytes: 4096, utilization: 25);
        DateTime now = _clock.GetUtcNow().UtcDateTime;
        Assert.That(_collector.GetRecentIterations(), Is.EqualTo(new[] { new IterationMetrics(5, 8, 6, 2, Ms(12), 4096, now) { Utilization = 25 } }));
        Assert.That(_collector.GetRecentBatches(), Is.EqualTo(new[] { new BatchMetrics(17, 8, 25, 4096, now) }));
    }

    [Test]
    public void A_kept_iteration_tells_prefill_and_execution_apart()
    {
        _collector.RecordIteration(new IterationMeasurement { PrefillTokens = 512, ExecutionTime = Ms(7) });
        IterationMetrics kept = _collector.GetRecentIterations()[0];
        Assert.That((kept.PrefillTokens, kept.ExecutionTime), Is.EqualTo((512, Ms(7))));
    }

    [Test]
    public void A_utilization_recorded_after_its_iteration_takes_size_and_memory_from_it()
    {
        _collector.RecordIteration(new IterationResult(1, 8, 6, 0, Ms(12), 4096));
        _collector.RecordBatchUtilization(25);
        Assert.That(_collector.GetRecentBatches(), Is.EqualTo(new[] { new BatchMetrics(-1, 8, 25, 4096, _clock.GetUtcNow().UtcDateTime) }));
        Assert.That(_collector.GetRecentIterations()[0].Utilization, Is.EqualTo(25));
    }

    [Test]
    public void A_utilization_without_an_iteration_of_its_own_leaves_size_and_memory_unknown()
    {
        _collector.RecordBatchUtilization(40);
        _collector.RecordIteration(new IterationResult(1, 8, 6, 0, Ms(12), 4096));
        _collector.RecordBatchUtilization(25);
        _collector.RecordBatchUtilization(55);
        Assert.That(_collector.GetRecentBatches().Select(batch => batch.RequestCount), Is.EqualTo(new[] { 0, 8, 0 }));
        BatchStatistics batches = _collector.GetBatchStatistics();
        Assert.That(batches, Is.EqualTo(new BatchStatistics(3, 8, 40, 4096, 8, 8)), "unknown sizes are not counted as empty batches");
    }

    [Test]
    public void A_utilization_that_was_never_told_is_not_counted_as_zero()
    {
        _collector.RecordIteration(new IterationResult(1, 8, 6, 0, Ms(12), 4096));
        _collector.RecordIteration(new IterationResult(2, 8, 6, 0, Ms(12), 4096));
        _collector.RecordBatchUtilization(25);
        Assert.That(_collector.GetIterationStatistics().AverageUtilization, Is.EqualTo(25));
        Assert.That(_collector.GetRecentIterations()[0].Utilization, Is.Null);
    }

    [Test]
    public void Recorded_errors_are_counted_by_kind()
    {
        _collector.RecordError("ModelExecution", new InvalidOperationException("first"));
        Advance(3);
        _collector.RecordError("ModelExecution", new InvalidOperationException("second"));
        _collector.RecordError("Prefill", new InvalidOperationException("third"));
        Advance(3);
        ErrorStatistics errors = _collector.GetErrorStatistics();
        Assert.That(errors.TotalErrors, Is.EqualTo(3));
        Assert.That(errors.ErrorsByType, Is.EqualTo(new Dictionary<string, long> { ["ModelExecution"] = 2, ["Prefill"] = 1 }));
        Assert.That(errors.LastErrorTime, Is.EqualTo(_clock.GetUtcNow().UtcDateTime.AddSeconds(-3)));
        Assert.That(errors.LastErrorMessage, Is.EqualTo("third"));
    }

    // ---- request statistics

    [Test]
    public void Each_ending_counts_as_completed_failed_or_cancelled()
    {
        foreach (CompletionReason reason in Enum.GetValues<CompletionReason>())
        {
            _collector.RecordRequestCompletion(Result(reason));
        }

        RequestStatistics requests = _collector.GetRequestStatistics();
        Assert.That(requests.TotalRequests, Is.EqualTo(7));
        Assert.That(requests.CompletedRequests, Is.EqualTo(4), "end of sequence, token limit, length, stop string");
        Assert.That(requests.FailedRequests, Is.EqualTo(2), "timeout, failed");
        Assert.That(requests.CancelledRequests, Is.EqualTo(1));
    }

    [Test]
    public void Averages_are_of_the_completed_requests_and_of_measured_times()
    {
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: 10, queueMs: 20, processingMs: 100));
        _collector.RecordRequestCompletion(Result(CompletionReason.MaxTokensReached, tokens: 30, queueMs: 40, processingMs: 300));
        _collector.RecordRequestCompletion(Result(CompletionReason.Cancelled, tokens: 1000, queueMs: 9000, processingMs: 9000));
        _collector.RecordRequestCompletion(Result(CompletionReason.Failed, tokens: 1000, queueMs: 9000, processingMs: 9000));
        RequestStatistics requests = _collector.GetRequestStatistics();
        Assert.That(requests.AverageTokensPerRequest, Is.EqualTo(20));
        Assert.That(requests.AverageQueueTime, Is.EqualTo(Ms(30)));
        Assert.That(requests.AverageProcessingTime, Is.EqualTo(Ms(200)));
        Assert.That(requests.P50Latency, Is.EqualTo(230));
    }

    [Test]
    public void Percentiles_interpolate_latencies_in_milliseconds()
    {
        foreach (int milliseconds in Enumerable.Range(1, 100).Reverse())
        {
            _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, queueMs: 1, processingMs: milliseconds - 1));
        }

        RequestStatistics requests = _collector.GetRequestStatistics();
        Assert.That((requests.P50Latency, requests.P95Latency, requests.P99Latency), Is.EqualTo((50.5, 95.05, 99.01)));
    }

    [Test]
    public void The_percentiles_of_a_single_request_are_its_latency()
    {
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, queueMs: 1, processingMs: 4));
        RequestStatistics requests = _collector.GetRequestStatistics();
        Assert.That((requests.P50Latency, requests.P95Latency, requests.P99Latency), Is.EqualTo((5.0, 5.0, 5.0)));
    }

    [Test]
    public void Rates_divide_by_the_time_observed_until_the_window_is_full()
    {
        for (int i = 0; i < 20; i++)
        {
            Advance(1);
            _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached));
            Observe(iteration: i, tokens: 3);
        }

        Assert.That(_collector.GetRequestStatistics().RequestsPerSecond, Is.EqualTo(1));
        Assert.That(_collector.GetRequestStatistics().TokensPerSecond, Is.EqualTo(3));
        Assert.That(_collector.GetIterationStatistics().IterationsPerSecond, Is.EqualTo(1));
        Advance(61);
        Assert.That(_collector.GetRequestStatistics().RequestsPerSecond, Is.Zero);
        Assert.That(_collector.GetRequestStatistics().TokensPerSecond, Is.Zero);
        Assert.That(_collector.GetIterationStatistics().IterationsPerSecond, Is.Zero);
    }

    // ---- tokens are counted once

    [Test]
    public void Tokens_told_by_iterations_and_again_by_their_request_count_once()
    {
        Observe(iteration: 1, tokens: 40);
        Observe(iteration: 2, tokens: 60);
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: 100));
        Advance(10);
        Assert.That(_collector.GetRequestStatistics().TokensPerSecond, Is.EqualTo(10));
    }

    [Test]
    public void Tokens_told_by_a_request_before_its_last_iteration_count_once()
    {
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: 100));
        Observe(iteration: 1, tokens: 100);
        Advance(10);
        Assert.That(_collector.GetRequestStatistics().TokensPerSecond, Is.EqualTo(10));
    }

    [Test]
    public void Tokens_told_by_requests_alone_count()
    {
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: 70));
        _collector.RecordRequestCompletion(Result(CompletionReason.Cancelled, tokens: 30));
        Advance(10);
        Assert.That(_collector.GetRequestStatistics().TokensPerSecond, Is.EqualTo(10));
    }

    [Test]
    public void Tokens_from_before_a_reset_do_not_come_back_with_their_request()
    {
        Observe(iteration: 1, tokens: 100);
        _collector.Reset();
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: 100));
        Advance(10);
        Assert.That(_collector.GetRequestStatistics().TokensPerSecond, Is.Zero);
    }

    // ---- iteration, batch and error statistics

    [Test]
    public void Iterations_are_averaged()
    {
        Observe(iteration: 1, requests: 4, tokens: 10, milliseconds: 10, bytes: 1000, utilization: 12.5);
        Observe(iteration: 2, requests: 9, tokens: 21, milliseconds: 15, bytes: 2000, utilization: 37.5);
        Advance(4);
        Assert.That(_collector.GetIterationStatistics(), Is.EqualTo(new IterationStatistics(2, 6, 15, 1500, 12.5, 0.5, 25)));
    }

    [Test]
    public void Batches_are_averaged_with_their_extremes()
    {
        Observe(iteration: 1, requests: 4, bytes: 1000, utilization: 50);
        Observe(iteration: 2, requests: 8, bytes: 2000, utilization: 100);
        Observe(iteration: 3, requests: 3, bytes: 600, utilization: 37.5);
        Assert.That(_collector.GetBatchStatistics(), Is.EqualTo(new BatchStatistics(3, 5, 62.5, 1200, 8, 3)));
    }

    [Test]
    public void The_error_rate_is_errors_per_request_that_ended()
    {
        _collector.RecordError("ModelExecution", new InvalidOperationException());
        Assert.That(_collector.GetErrorStatistics().ErrorRate, Is.Zero, "no request has ended");
        for (int i = 0; i < 4; i++)
        {
            _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached));
        }

        Assert.That(_collector.GetErrorStatistics().ErrorRate, Is.EqualTo(0.25));
    }

    [Test]
    public void The_error_breakdown_is_the_callers_own()
    {
        _collector.RecordError("ModelExecution", new InvalidOperationException());
        _collector.GetErrorStatistics().ErrorsByType.Clear();
        Assert.That(_collector.GetErrorStatistics().ErrorsByType, Has.Count.EqualTo(1));
    }

    [Test]
    public void An_empty_collector_answers_with_zeros()
    {
        MetricsSnapshot snapshot = _collector.GetSnapshot();
        Assert.That(snapshot.RequestStats, Is.EqualTo(new RequestStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, TimeSpan.Zero, TimeSpan.Zero)));
        Assert.That(snapshot.IterationStats, Is.EqualTo(new IterationStatistics(0, 0, 0, 0, 0, 0, 0)));
        Assert.That(snapshot.BatchStats, Is.EqualTo(new BatchStatistics(0, 0, 0, 0, 0, 0)));
        Assert.That(snapshot.ErrorStats.TotalErrors, Is.Zero);
        Assert.That(snapshot.ErrorStats.LastErrorTime, Is.EqualTo(DateTime.MinValue));
        Assert.That(snapshot.ErrorStats.LastErrorMessage, Is.Null);
    }

    // ---- configuration

    [Test]
    public void Samples_are_bounded_by_configuration_and_totals_are_not()
    {
        using var collector = new SchedulerMetricsCollector(
            MetricsConfiguration.Default with { MaxRequestSamples = 2, MaxIterationSamples = 3, MaxBatchSamples = 4 }, _clock);
        for (int i = 1; i <= 10; i++)
        {
            collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: i));
            collector.RecordIteration(new IterationMeasurement { IterationNumber = i, BatchId = i, RequestCount = i, Utilization = i });
        }

        Assert.That(collector.GetRecentRequests().Select(request => request.TokensGenerated), Is.EqualTo(new[] { 9, 10 }));
        Assert.That(collector.GetRecentIterations().Select(iteration => iteration.IterationNumber), Is.EqualTo(new[] { 8, 9, 10 }));
        Assert.That(collector.GetRecentBatches().Select(batch => batch.BatchId), Is.EqualTo(new[] { 7, 8, 9, 10 }));
        MetricsSnapshot snapshot = collector.GetSnapshot();
        Assert.That(snapshot.RequestStats.TotalRequests, Is.EqualTo(10));
        Assert.That(snapshot.RequestStats.AverageTokensPerRequest, Is.EqualTo(9.5));
        Assert.That(snapshot.IterationStats.TotalIterations, Is.EqualTo(10));
        Assert.That(snapshot.BatchStats.TotalBatches, Is.EqualTo(10));
        Assert.That(snapshot.BatchStats.MinBatchSize, Is.EqualTo(7));
    }

    [TestCase(5, 0.0)]
    [TestCase(120, 0.02)]
    public void The_window_of_rates_is_configured(int windowSeconds, double expected)
    {
        using var collector = new SchedulerMetricsCollector(MetricsConfiguration.Default with { CounterWindowSeconds = windowSeconds }, _clock);
        collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached));
        Advance(50);
        Assert.That(collector.GetRequestStatistics().RequestsPerSecond, Is.EqualTo(expected));
    }

    [TestCase(0, 3)]
    [TestCase(1, 3.3)]
    [TestCase(4, 3.3333)]
    public void The_precision_of_percentiles_is_configured(int precision, double expected)
    {
        using var collector = new SchedulerMetricsCollector(MetricsConfiguration.Default with { PercentilePrecision = precision }, _clock);
        collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, queueMs: 0, processingMs: 10.0 / 3));
        Assert.That(collector.GetRequestStatistics().P50Latency, Is.EqualTo(expected));
    }

    [Test]
    public void A_missing_configuration_is_refused() =>
        Assert.Throws<ArgumentNullException>(() => _ = new SchedulerMetricsCollector(null!));

    // ---- snapshot and reset

    [Test]
    public void A_snapshot_holds_all_statistics_and_its_time()
    {
        Observe(iteration: 1, requests: 4, tokens: 2, utilization: 50);
        _collector.RecordRequestCompletion(Result(CompletionReason.EosTokenReached, tokens: 2));
        _collector.RecordError("ModelExecution", new InvalidOperationException());
        Advance(2);
        MetricsSnapshot snapshot = _collector.GetSnapshot();
        Assert.That(snapshot.RequestStats, Is.EqualTo(_collector.GetRequestStatistics()));
        Assert.That(snapshot.IterationStats, Is.EqualTo(_collector.GetIterationStatistics()));
        Assert.That(snapshot.BatchStats, Is.EqualTo(_collector.GetBatchStatistics()));
        Assert.That(snapshot.ErrorStats.ErrorsByType, Is.EqualTo(_collector.GetErrorStatistics().ErrorsByType));
        Assert.That(snapshot.ErrorStats.TotalErrors, Is.EqualTo(1));
        Assert.That(snapshot.SnapshotTime, Is.EqualTo(_clock.GetUtcNow().UtcDateTime));
        Assert.That(snapshot.SnapshotTime.Kind, Is.EqualTo(DateTimeKind.Utc));
    }

    [Test]
    public void A_reset_forgets_metrics_counters_and_errors()
    {
        Observe(iteration: 1, requests: 4, tokens: 2, utilization: 50);
        _collector.RecordIteration(new IterationResult(2, 1, 1, 0, Ms(1), 1));
        _collector.RecordRequestCompletion(Result(CompletionReason.Failed, tokens: 2));
        _collector.RecordError("ModelExecution", new InvalidOperationException());
        Advance(2);
        _collector.Reset();
        An_empty_collector_answers_with_zeros();
        Assert.That(_collector.GetErrorStatistics().ErrorsByType, Is.Empty);
        Assert.That(_collector.GetRecentRequests(), Is.Empty);

        _collector.RecordBatchUtilization(10);
        Assert.That(_collector.GetRecentBatches()[0].RequestCount, Is.Zero, "no iteration from before the reset is paired");
    }

    // ---- cost and threads

    [Test]
    public void Recording_an_iteration_allocates_nothing()
    {
        var measurement = new IterationMeasurement { RequestCount = 64, TokensGenerated = 64, Utilization = 100 };
        _collector.RecordIteration(measurement);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1_000; i++)
        {
            _collector.RecordIteration(measurement);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void Nothing_recorded_by_many_threads_is_lost()
    {
        const int Threads = 4;
        const int PerThread = 2_000;
        Run(Threads, _ =>
        {
            for (int i = 0; i < PerThread; i++)
            {
                Observe(iteration: i, requests: 2, tokens: 3, utilization: 10);
                _collector.RecordRequestCompletion(Result(i % 2 == 0 ? CompletionReason.EosTokenReached : CompletionReason.Cancelled, tokens: 3));
                _collector.RecordError($"Kind{i % 3}", new InvalidOperationException());
            }
        });

        Advance(1);
        MetricsSnapshot snapshot = _collector.GetSnapshot();
        Assert.That(snapshot.IterationStats.TotalIterations, Is.EqualTo(Threads * PerThread));
        Assert.That(snapshot.BatchStats.TotalBatches, Is.EqualTo(Threads * PerThread));
        Assert.That(snapshot.RequestStats.CompletedRequests, Is.EqualTo(Threads * PerThread / 2));
        Assert.That(snapshot.RequestStats.CancelledRequests, Is.EqualTo(Threads * PerThread / 2));
        Assert.That(snapshot.RequestStats.TokensPerSecond, Is.EqualTo(3 * Threads * PerThread));
        Assert.That(snapshot.ErrorStats.ErrorsByType.Values.Sum(), Is.EqualTo(Threads * PerThread));
    }

    [Test]
    public void A_snapshot_taken_while_others_record_is_of_one_moment()
    {
        using var collector = new SchedulerMetricsCollector(MetricsConfiguration.Default with { MaxIterationSamples = 16, MaxBatchSamples = 16 }, _clock);
        bool done = false;
        var torn = new List<MetricsSnapshot>();
        Run(2, thread =>
        {
            if (thread == 0)
            {
                Write();
            }
            else
            {
                Read();
            }
        });

        Assert.That(torn, Is.Empty);

        void Write()
        {
            for (int i = 0; !Volatile.Read(ref done); i++)
            {
                collector.RecordIteration(new IterationMeasurement { RequestCount = 1, TokensGenerated = 1, Utilization = i % 7 });
            }
        }

        void Read()
        {
            try
            {
                for (int i = 0; i < 50_000; i++)
                {
                    MetricsSnapshot snapshot = collector.GetSnapshot();
                    if (snapshot.IterationStats.TotalIterations != snapshot.BatchStats.TotalBatches
                        || snapshot.IterationStats.AverageUtilization != snapshot.BatchStats.AverageUtilization)
                    {
                        torn.Add(snapshot);
                    }
                }
            }
            finally
            {
                Volatile.Write(ref done, true);
            }
        }
    }

    // ---- bad input

    [Test]
    public void Missing_arguments_are_refused()
    {
        Assert.Throws<ArgumentNullException>(() => _collector.RecordIteration(null!));
        Assert.Throws<ArgumentNullException>(() => _collector.RecordRequestCompletion(null!));
        Assert.Throws<ArgumentNullException>(() => _collector.RecordError("ModelExecution", null!));
        Assert.Throws<ArgumentException>(() => _collector.RecordError(string.Empty, new InvalidOperationException()));
    }

    [TestCase(-1)]
    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void A_utilization_that_is_no_percentage_is_refused(double utilization) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _collector.RecordBatchUtilization(utilization));

    private static void Run(int threads, Action<int> body)
    {
        Task[] tasks = [.. Enumerable.Range(0, threads).Select(i => Task.Factory.StartNew(() => body(i), TaskCreationOptions.LongRunning))];
        Assert.That(Task.WaitAll(tasks, TimeSpan.FromMinutes(1)), Is.True, "the threads should have ended");
    }

    private static RequestResult Result(CompletionReason reason, int tokens = 1, double queueMs = 1, double processingMs = 1) =>
        new(RequestId.New(), "text", tokens, reason, Ms(processingMs)) { QueueTime = Ms(queueMs) };

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private void Observe(
        int iteration, int batch = 0, int requests = 1, int tokens = 1, int ended = 0, double milliseconds = 1, long bytes = 1, double utilization = 1) =>
        _collector.RecordIteration(new IterationMeasurement
        {
            IterationNumber = iteration,
            BatchId = batch,
            RequestCount = requests,
            TokensGenerated = tokens,
            RequestsCompleted = ended,
            ProcessingTime = Ms(milliseconds),
            MemoryBytesUsed = bytes,
            Utilization = utilization,
        });

    private void Advance(double seconds) => _clock.Advance(TimeSpan.FromSeconds(seconds));
}
