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
    public void A_lone_decode_on_an_H100_takes_what_its_bandwidth_allows() =>
        // 8B at batch 1 is measured at 130 to 165 tokens per second by the public benchmarks of vLLM and TensorRT-LLM.
        Assert.That(1 / ModelPreset.Llama8BOnH100.Cost.StepDuration(1000, 1).TotalSeconds, Is.InRange(130, 165));
}
