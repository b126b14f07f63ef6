using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.API;

public class SchedulerApiClientConfigurationTests
{
    [Test]
    public void The_defaults_are_valid() => Assert.That(SchedulerApiClientConfiguration.Default.Validate, Throws.Nothing);

    [TestCase(0, 1.5, 100, "DefaultMaxTokens")]
    [TestCase(256, 0.0, 100, "TimeoutMultiplier")]
    [TestCase(256, double.NaN, 100, "TimeoutMultiplier")]
    [TestCase(256, double.PositiveInfinity, 100, "TimeoutMultiplier")]
    [TestCase(256, 1.5, 0, "MaxConcurrentEnqueue")]
    public void What_is_out_of_its_range_is_refused_by_name(int maxTokens, double multiplier, int concurrent, string name) =>
        Assert.That(
            new SchedulerApiClientConfiguration(maxTokens, multiplier, MaxConcurrentEnqueue: concurrent).Validate,
            Throws.TypeOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo(name));
}
