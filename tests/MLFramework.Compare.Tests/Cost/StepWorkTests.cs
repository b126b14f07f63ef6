using MLFramework.Cpu;

namespace MLFramework.Compare.Tests;

public sealed class StepWorkTests
{
    private const long WeightBytes = 100_000, TokenBytes = 128;

    /// <summary>Two layers with matrices of 32 × (32 + 16 + 16 + 32) and 3 × 32 × 64 elements; output 259 × 32.</summary>
    private HyperParameters _sizes = null!;

    [SetUp]
    public void ReadSizes()
    {
        byte[] file = new Cpu.Tests.SyntheticModel("llama") { Layers = 2, Embedding = 32, Inner = 64, Heads = 4, KVHeads = 2, HeadLength = 8 }.Write();
        using CpuModel model = CpuModel.Load(GgufFile.FromMemory(file));
        _sizes = model.HyperParameters;
    }

    [Test]
    public void A_decode_multiplies_each_weight_once_per_sequence_and_reads_it_once()
    {
        const double Weights = 2 * (32 * (32 + 16 + 16 + 32) + 3 * 32 * 64) + 259 * 32, Attention = 2 * 4 * 8 * 2;

        StepWork work = StepWork.Decode(_sizes, WeightBytes, TokenBytes, batch: 3, context: 10);

        Assert.That(work.Operations, Is.EqualTo(3 * 2 * (Weights + Attention * 10)));
        Assert.That(work.Bytes, Is.EqualTo(WeightBytes + 3 * 10 * TokenBytes));
    }

    [Test]
    public void A_prompt_is_its_tokens_one_after_another_with_one_output()
    {
        double operations = Enumerable.Range(1, 7).Sum(context => StepWork.Decode(_sizes, WeightBytes, TokenBytes, 1, context).Operations) - 6 * 2 * 259 * 32;

        Assert.That(StepWork.Prefill(_sizes, WeightBytes, TokenBytes, 7).Operations, Is.EqualTo(operations));
    }
}
