using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Execution;

public class ModelPresetTests
{
    /// <summary>The numbers that the docstrings derive; an edit of one without the other fails here.</summary>
    [TestCase("cpu", 0.21, 7.145, 1747, 1152, 720, 46_592)]
    [TestCase("8b-h100", 0.3, 5.99, 32.5, 48.9, 1.06, 411_520)]
    [TestCase("70b-8xh100", 1.9, 6.59, 45.9, 15.3, 0.66, 1_278_064)]
    public void The_published_constants_are_what_the_docstrings_derive(
        string name, double perStepMs, double weightReadMs, double perTokenUs, double perKVTokenNs, double perPairNs, int cacheTokens)
    {
        ModelPreset preset = ModelPreset.All.Single(p => p.Name == name);
        Assert.Multiple(() =>
        {
            Assert.That(preset.Cost.PerStep * 1e3, Is.EqualTo(perStepMs).Within(0.5).Percent);
            Assert.That(preset.Cost.WeightRead * 1e3, Is.EqualTo(weightReadMs).Within(0.5).Percent);
            Assert.That(preset.Cost.PerToken * 1e6, Is.EqualTo(perTokenUs).Within(0.5).Percent);
            Assert.That(preset.Cost.PerKVToken * 1e9, Is.EqualTo(perKVTokenNs).Within(0.5).Percent);
            Assert.That(preset.Cost.PerAttentionPair * 1e9, Is.EqualTo(perPairNs).Within(0.5).Percent);
            Assert.That(preset.Cache.TotalBlocks * preset.Cache.BlockSize, Is.EqualTo(cacheTokens));
        });
    }

    [Test]
    public void Every_preset_is_valid_and_has_a_name_of_its_own()
    {
        Assert.That(ModelPreset.All.Select(p => p.Name), Is.Unique);
        foreach (ModelPreset preset in ModelPreset.All)
        {
            Assert.DoesNotThrow(preset.Cost.Validate);
            Assert.DoesNotThrow(preset.Cache.Validate);
            Assert.DoesNotThrow(preset.Objectives.Validate);
        }
    }

    [Test]
    public void A_lone_decode_is_bound_by_reading_the_weights_and_a_long_prompt_by_arithmetic()
    {
        foreach (CostModel cost in ModelPreset.All.Select(p => p.Cost))
        {
            Assert.That(cost.StepDuration(100, 1).TotalSeconds, Is.EqualTo(cost.PerStep + cost.WeightRead).Within(2).Percent);
            Assert.That(cost.StepDuration(0, 4096).TotalSeconds, Is.GreaterThan(4096 * cost.PerToken));
        }
    }

    [Test]
    public void The_peak_rate_is_where_arithmetic_alone_fills_the_time() =>
        Assert.That(
            ModelPreset.Llama8BOnH100.PeakRate(new LengthDistribution(1000), new LengthDistribution(200)),
            Is.EqualTo(1 / (1200 * 32.5e-6)).Within(0.5).Percent);
}
