using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Report;

public class ServiceObjectivesTests
{
    [Test]
    public void No_objectives_are_valid() => Assert.DoesNotThrow(new ServiceObjectives().Validate);

    [Test]
    public void An_objective_of_zero_is_refused_by_name() =>
        Assert.That(
            new ServiceObjectives(P99InterTokenLatency: TimeSpan.Zero).Validate,
            Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("P99InterTokenLatency"));
}
