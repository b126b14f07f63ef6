using Microsoft.Extensions.Logging;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics;

public class MetricsLogTests
{
    private static readonly MetricsConfiguration Detailed =
        MetricsConfiguration.Default with { EnableDetailedLogging = true, DetailedLogIntervalSeconds = 5 };

    private readonly VirtualTimeProvider _clock = new();
    private readonly ListLogger _logger = new();

    [Test]
    public void A_summary_is_written_once_an_interval()
    {
        using var collector = new SchedulerMetricsCollector(Detailed, _clock, _logger);
        RecordOne(collector);
        Advance(4);
        Assert.That(_logger.Lines, Is.Empty);
        Advance(1);
        Assert.That(_logger.Lines, Has.Count.EqualTo(2));
        RecordOne(collector);
        Advance(5);
        Assert.That(_logger.Lines, Has.Count.EqualTo(4));
    }

    [Test]
    public void The_summary_tells_requests_and_iterations()
    {
        using var collector = new SchedulerMetricsCollector(Detailed, _clock, _logger);
        RecordOne(collector);
        collector.RecordIteration(new IterationMeasurement { RequestCount = 8, ProcessingTime = TimeSpan.FromMilliseconds(4), Utilization = 25 });
        Advance(5);
        Assert.That(_logger.Lines[0], Does.StartWith("Requests: 1 completed, 0 failed, 0 cancelled; 0.20 requests/s, 1.4 tokens/s; latency P50 30 ms"));
        Assert.That(_logger.Lines[1], Is.EqualTo("Iterations: 1, 0.2/s, 4.000 ms each; batches of 8.0 requests, 25.0 % full; 0 errors."));
    }

    [Test]
    public void An_interval_in_which_nothing_was_recorded_writes_nothing()
    {
        using var collector = new SchedulerMetricsCollector(Detailed, _clock, _logger);
        Advance(60);
        Assert.That(_logger.Lines, Is.Empty);
    }

    [Test]
    public void Nothing_is_written_unless_it_is_enabled()
    {
        using var collector = new SchedulerMetricsCollector(Detailed with { EnableDetailedLogging = false }, _clock, _logger);
        RecordOne(collector);
        Advance(60);
        Assert.That(_logger.Lines, Is.Empty);
    }

    [Test]
    public void Without_a_logger_no_timer_runs()
    {
        using var collector = new SchedulerMetricsCollector(Detailed, _clock);
        Assert.That(_clock.NextDue, Is.Null);
    }

    [Test]
    public void A_disposed_collector_writes_no_more_and_still_collects()
    {
        var collector = new SchedulerMetricsCollector(Detailed, _clock, _logger);
        collector.Dispose();
        RecordOne(collector);
        Advance(60);
        Assert.That(_logger.Lines, Is.Empty);
        Assert.That(collector.GetRequestStatistics().TotalRequests, Is.EqualTo(1));
    }

    [Test]
    public void A_logger_that_throws_becomes_a_counted_error()
    {
        _logger.Fault = new IOException("disk full");
        using var collector = new SchedulerMetricsCollector(Detailed, _clock, _logger);
        RecordOne(collector);
        Advance(5);
        ErrorStatistics errors = collector.GetErrorStatistics();
        Assert.That(errors.ErrorsByType, Is.EqualTo(new Dictionary<string, long> { ["MetricsLog"] = 1 }));
        Assert.That(errors.LastErrorMessage, Is.EqualTo("disk full"));
    }

    private static void RecordOne(SchedulerMetricsCollector collector) =>
        collector.RecordRequestCompletion(new RequestResult(RequestId.New(), "text", 7, CompletionReason.StopString, TimeSpan.FromMilliseconds(30)));

    private void Advance(int seconds) => _clock.Advance(TimeSpan.FromSeconds(seconds));

    private sealed class ListLogger : ILogger
    {
        public List<string> Lines { get; } = [];

        public Exception? Fault { get; set; }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (Fault is not null)
            {
                throw Fault;
            }

            Lines.Add(formatter(state, exception));
        }
    }
}
