using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.API;

public class GenerationOptionsTests
{
    private static readonly GenerationOptions s_good = GenerationOptions.Default;

    [Test]
    public void The_defaults_and_the_ends_of_every_range_are_valid([ValueSource(nameof(Good))] GenerationOptions options) =>
        Assert.That(options.Validate, Throws.Nothing);

    [Test]
    public void What_is_out_of_its_range_is_refused_by_name([ValueSource(nameof(Bad))] (GenerationOptions Options, string Name) bad) =>
        Assert.That(bad.Options.Validate, Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo(bad.Name));

    public static IEnumerable<GenerationOptions> Good()
    {
        yield return s_good;
        yield return new GenerationOptions(null, null, null, null, null, null, null, null, null, null);
        yield return s_good with { Temperature = 0, TopP = 1e-6f, TopK = 1, FrequencyPenalty = -2, PresencePenalty = 2, StopSequences = [], TopLogProbs = 0 };
        yield return s_good with { Temperature = 2, TopP = 1, TopK = int.MaxValue, StopSequences = ["x"], TopLogProbs = 20, TimeLimit = TimeSpan.FromTicks(1) };
    }

    public static IEnumerable<(GenerationOptions Options, string Name)> Bad()
    {
        yield return (s_good with { Temperature = -0.1f }, "Temperature");
        yield return (s_good with { Temperature = 2.1f }, "Temperature");
        yield return (s_good with { Temperature = float.NaN }, "Temperature");
        yield return (s_good with { TopP = 0 }, "TopP");
        yield return (s_good with { TopP = 1.1f }, "TopP");
        yield return (s_good with { TopP = float.NaN }, "TopP");
        yield return (s_good with { TopK = 0 }, "TopK");
        yield return (s_good with { FrequencyPenalty = -2.1f }, "FrequencyPenalty");
        yield return (s_good with { PresencePenalty = 2.1f }, "PresencePenalty");
        yield return (s_good with { StopSequences = ["x", string.Empty] }, "StopSequences");
        yield return (s_good with { StopSequences = [null!] }, "StopSequences");
        yield return (s_good with { TopLogProbs = -1 }, "TopLogProbs");
        yield return (s_good with { TopLogProbs = 21 }, "TopLogProbs");
        yield return (s_good with { TimeLimit = TimeSpan.Zero }, "TimeLimit");
        yield return (s_good with { TimeLimit = Timeout.InfiniteTimeSpan }, "TimeLimit");
    }
}
