namespace MLFramework.Serving.Tests.Configuration;

public class BatchingConfigurationTests
{
    [Test]
    public void Defaults_are_those_of_the_contract() => Assert.That(
        BatchingConfiguration.Default(),
        Has.Property("MaxBatchSize").EqualTo(32)
            .And.Property("MaxWaitTime").EqualTo(TimeSpan.FromMilliseconds(5))
            .And.Property("PreferBatchSize").EqualTo(16)
            .And.Property("MaxQueueSize").EqualTo(100)
            .And.Property("TimeoutStrategy").EqualTo(TimeoutStrategy.DispatchPartial));

    [Test]
    public void Defaults_are_valid() => Assert.That(BatchingConfiguration.Default().Validate, Throws.Nothing);

    [TestCaseSource(nameof(Boundaries))]
    public void The_limits_themselves_are_valid(Action<BatchingConfiguration> set)
    {
        BatchingConfiguration configuration = BatchingConfiguration.Default();
        set(configuration);
        Assert.That(configuration.Validate, Throws.Nothing);
    }

    [TestCaseSource(nameof(OutOfRange))]
    public void A_value_out_of_range_is_refused_by_name(string name, Action<BatchingConfiguration> set)
    {
        BatchingConfiguration configuration = BatchingConfiguration.Default();
        set(configuration);
        Assert.That(configuration.Validate, Throws.TypeOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo(name).And.Message.Contains(name).And.Message.Contains("must be"));
    }

    private static TestCaseData[] Boundaries() =>
    [
        Case("MaxBatchSize 1", c => c.MaxBatchSize = c.PreferBatchSize = 1),
        Case("MaxBatchSize 1024", c => c.MaxBatchSize = c.PreferBatchSize = 1024),
        Case("MaxWaitTime 1 ms", c => c.MaxWaitTime = TimeSpan.FromMilliseconds(1)),
        Case("MaxWaitTime 1 s", c => c.MaxWaitTime = TimeSpan.FromSeconds(1)),
        Case("MaxQueueSize 10", c => c.MaxQueueSize = 10),
        Case("MaxQueueSize 10000", c => c.MaxQueueSize = 10_000),
        Case("strict priorities", c => c.PriorityAging = Timeout.InfiniteTimeSpan),
        Case("no drain", c => c.DrainTimeout = TimeSpan.Zero),
    ];

    private static TestCaseData[] OutOfRange() =>
    [
        Case("MaxBatchSize", c => c.MaxBatchSize = 0, 0),
        Case("MaxBatchSize", c => c.MaxBatchSize = 1025, 1025),
        Case("MaxWaitTime", c => c.MaxWaitTime = TimeSpan.Zero, 0),
        Case("MaxWaitTime", c => c.MaxWaitTime = TimeSpan.FromMilliseconds(1001), 1001),
        Case("PreferBatchSize", c => c.PreferBatchSize = 0, 0),
        Case("PreferBatchSize", c => c.PreferBatchSize = 33, 33),
        Case("MaxQueueSize", c => c.MaxQueueSize = 9, 9),
        Case("MaxQueueSize", c => c.MaxQueueSize = 10_001, 10_001),
        Case("MaxConcurrentBatches", c => c.MaxConcurrentBatches = 0, 0),
        Case("MaxConcurrentBatches", c => c.MaxConcurrentBatches = 257, 257),
        Case("MaxBatchCost", c => c.MaxBatchCost = 0, 0),
        Case("PriorityAging", c => c.PriorityAging = TimeSpan.Zero, 0),
        Case("RequestTimeout", c => c.RequestTimeout = TimeSpan.Zero, 0),
        Case("MaxEnqueueWait", c => c.MaxEnqueueWait = Timeout.InfiniteTimeSpan, -1),
        Case("MaxRetries", c => c.MaxRetries = -1, -1),
        Case("MaxRetries", c => c.MaxRetries = 11, 11),
        Case("RetryDelay", c => c.RetryDelay = TimeSpan.FromTicks(-1), -1),
        Case("DrainTimeout", c => c.DrainTimeout = TimeSpan.FromDays(25), 25),
        Case("TimeoutStrategy", c => c.TimeoutStrategy = (TimeoutStrategy)9, 9),
        Case("RequestTimeoutAction", c => c.RequestTimeoutAction = (RequestTimeoutAction)9, 9),
        Case("QueueFullPolicy", c => c.QueueFullPolicy = (QueueFullPolicy)9, 9),
        Case("FailurePolicy", c => c.FailurePolicy = (BatchFailurePolicy)9, 9),
    ];

    private static TestCaseData Case(string name, Action<BatchingConfiguration> set) =>
        new TestCaseData(set).SetArgDisplayNames(name);

    private static TestCaseData Case(string name, Action<BatchingConfiguration> set, int value) =>
        new TestCaseData(name, set).SetArgDisplayNames(name, $"{value}");
}
