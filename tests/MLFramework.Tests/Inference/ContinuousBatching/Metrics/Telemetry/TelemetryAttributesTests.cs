using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics.Telemetry;

public class TelemetryAttributesTests
{
    [Test]
    public void Every_reason_has_a_name_of_its_own()
    {
        AssertNames<CompletionReason>(TelemetryAttributes.Name);
        AssertNames<PreemptionReason>(TelemetryAttributes.Name);
        AssertNames<RejectionReason>(TelemetryAttributes.Name);
    }

    [Test]
    public void A_value_without_a_name_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => TelemetryAttributes.Name((CompletionReason)99));
        Assert.Throws<ArgumentOutOfRangeException>(() => TelemetryAttributes.Name((PreemptionReason)99));
        Assert.Throws<ArgumentOutOfRangeException>(() => TelemetryAttributes.Name((RejectionReason)99));
    }

    [Test]
    public void A_failure_without_an_exception_is_of_the_conventions_other_kind()
    {
        var result = new RequestResult(RequestId.New(), string.Empty, 0, CompletionReason.Failed, TimeSpan.Zero);
        Assert.That(TelemetryAttributes.ErrorTypeOf(result), Is.EqualTo("_OTHER"));
    }

    /// <summary>The name of a member is its own in snake case.</summary>
    private static void AssertNames<T>(Func<T, string> name)
        where T : struct, Enum
    {
        foreach (T reason in Enum.GetValues<T>())
        {
            string snakeCase = string.Concat(reason.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? $"_{c}" : $"{c}")).ToLowerInvariant();
            Assert.That(name(reason), Is.EqualTo(snakeCase));
        }
    }
}
