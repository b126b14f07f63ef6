using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Queue;

public class QueuePolicyTests
{
    [Test]
    public void The_defaults_are_valid() => Assert.That(QueuePolicy.Default.Validate, Throws.Nothing);

    [Test]
    public void What_is_not_positive_is_refused_by_name([ValueSource(nameof(Bad))] (QueuePolicy Policy, string Name) bad) =>
        Assert.That(() => new RequestQueue(1, bad.Policy), Throws.TypeOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo(bad.Name));

    public static IEnumerable<(QueuePolicy Policy, string Name)> Bad()
    {
        QueuePolicy good = QueuePolicy.Default;
        yield return (good with { AgingInterval = TimeSpan.Zero }, "AgingInterval");
        yield return (good with { PromptTokenWeight = 0 }, "PromptTokenWeight");
        yield return (good with { GeneratedTokenWeight = double.NaN }, "GeneratedTokenWeight");
        yield return (good with { EstimatedBytesPerToken = 0 }, "EstimatedBytesPerToken");
        yield return (good with { TenantShares = new Dictionary<string, double> { ["t"] = -1 } }, "TenantShares");
    }
}
