using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Execution;

public class CostModelTests
{
    private static readonly CostModel Model = new(PerStep: 1e-3, WeightRead: 4e-3, PerToken: 1e-3, PerKVToken: 10e-6, PerAttentionPair: 1e-6);

    [Test]
    public void A_decode_costs_the_step_the_weights_and_its_context() =>
        Assert.That(Model.StepDuration(start: 99, count: 1), Is.EqualTo(TimeSpan.FromMilliseconds(1 + 4 + 1)));

    [Test]
    public void Tokens_are_free_until_arithmetic_takes_longer_than_reading_the_weights()
    {
        CostModel noAttention = Model with { PerKVToken = 0, PerAttentionPair = 0 };
        Assert.That(noAttention.StepDuration(0, 4), Is.EqualTo(noAttention.StepDuration(0, 1)));
        Assert.That(noAttention.StepDuration(0, 5), Is.EqualTo(TimeSpan.FromMilliseconds(1 + 5)));
    }

    [Test]
    public void A_long_chunk_pays_for_each_pair_of_token_and_position()
    {
        // 100 tokens after 900: pairs = 901 + … + 1000 = 95,050.
        TimeSpan expected = TimeSpan.FromSeconds(1e-3 + (100 * 1e-3) + (95_050 * 1e-6));
        Assert.That(Model.StepDuration(900, 100), Is.EqualTo(expected));
    }

    [Test]
    public void A_batch_reads_the_weights_once_and_each_context()
    {
        var batch = new Batch(1);
        batch.AddScheduled(Sequences.OfLength(100), 99, 1);
        batch.AddScheduled(Sequences.OfLength(200), 199, 1);
        Assert.That(Model.StepDuration(batch), Is.EqualTo(TimeSpan.FromMilliseconds(1 + 4 + 1 + 2)));
    }

    [Test]
    public void A_chunked_prompt_computes_as_many_attention_pairs_as_a_whole_one()
    {
        CostModel pairsOnly = new(PerStep: 0, WeightRead: 0, PerToken: 0, PerKVToken: 0, PerAttentionPair: 1e-6);
        TimeSpan chunked = pairsOnly.StepDuration(0, 300) + pairsOnly.StepDuration(300, 700);
        Assert.That(chunked, Is.EqualTo(pairsOnly.StepDuration(0, 1000)));
    }

    [TestCase(-1e-3)]
    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void A_constant_that_is_no_duration_is_refused(double seconds) =>
        Assert.That(() => (Model with { PerToken = seconds }).Validate(), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("PerToken"));

    [Test]
    public void A_model_whose_step_takes_no_time_is_refused() =>
        Assert.That(() => new CostModel(0, 0, 0, 0, 0).Validate(), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("stand still"));
}
