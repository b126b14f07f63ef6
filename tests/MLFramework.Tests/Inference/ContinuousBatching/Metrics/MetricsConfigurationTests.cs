using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics;

public class MetricsConfigurationTests
{
    private static IEnumerable<TestCaseData> OutOfRange()
    {
        MetricsConfiguration valid = MetricsConfiguration.Default;
        yield return new TestCaseData(valid with { MaxRequestSamples = 0 }, "MaxRequestSamples");
        yield return new TestCaseData(valid with { MaxIterationSamples = 0 }, "MaxIterationSamples");
        yield return new TestCaseData(valid with { MaxBatchSamples = -1 }, "MaxBatchSamples");
        yield return new TestCaseData(valid with { CounterWindowSeconds = 0 }, "CounterWindowSeconds");
        yield return new TestCaseData(valid with { PercentilePrecision = -1 }, "PercentilePrecision");
        yield return new TestCaseData(valid with { PercentilePrecision = 16 }, "PercentilePrecision");
        yield return new TestCaseData(valid with { DetailedLogIntervalSeconds = 0 }, "DetailedLogIntervalSeconds");
    }

    [Test]
    public void The_defaults_are_those_specified()
    {
        Assert.That(MetricsConfiguration.Default, Is.EqualTo(new MetricsConfiguration(10_000, 10_000, 10_000, 60, 2, false, 30)));
        Assert.DoesNotThrow(MetricsConfiguration.Default.Validate);
    }

    [TestCaseSource(nameof(OutOfRange))]
    public void A_member_out_of_its_range_is_refused_by_name(MetricsConfiguration config, string member)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => _ = new SchedulerMetricsCollector(config));
        Assert.That(error!.ParamName, Is.EqualTo(member));
    }
}
