using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Prefill;

public class PrefillConfigurationTests
{
    private static readonly PrefillConfiguration s_good = PrefillConfiguration.Default;

    [Test]
    public void The_defaults_are_valid() => Assert.That(s_good.Validate, Throws.Nothing);

    [Test]
    public void What_is_out_of_its_range_is_refused_by_name([ValueSource(nameof(Bad))] (PrefillConfiguration Configuration, string Name) bad) =>
        Assert.That(bad.Configuration.Validate, Throws.TypeOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo(bad.Name));

    public static IEnumerable<(PrefillConfiguration Configuration, string Name)> Bad()
    {
        yield return (s_good with { MaxPrefillBatchSize = 0 }, "MaxPrefillBatchSize");
        yield return (s_good with { MaxPrefillMemoryBytes = 0 }, "MaxPrefillMemoryBytes");
        yield return (s_good with { PrefillChunkSize = 0 }, "PrefillChunkSize");
        yield return (s_good with { PrefillCacheMaxEntries = -1 }, "PrefillCacheMaxEntries");
        yield return (s_good with { PrefillCacheTtlSeconds = -1 }, "PrefillCacheTtlSeconds");
    }
}
