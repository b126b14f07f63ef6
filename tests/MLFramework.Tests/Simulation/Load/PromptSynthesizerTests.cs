using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class PromptSynthesizerTests
{
    private readonly PromptSynthesizer _synthesizer = new(seed: 3);

    [Test]
    public void Equal_segments_give_equal_tokens_and_others_do_not()
    {
        int[] first = Prompt(new(1, 512), new(2, 512), new(3, 100));
        int[] second = Prompt(new(1, 512), new(2, 512), new(4, 100));
        Assert.That(first, Has.Length.EqualTo(1124));
        Assert.That(first[..1024], Is.EqualTo(second[..1024]));
        Assert.That(first[1024..], Is.Not.EqualTo(second[1024..]));
    }

    [Test]
    public void A_shorter_segment_is_the_beginning_of_a_longer_one() =>
        Assert.That(Prompt(new PromptSegment(9, 76)), Is.EqualTo(Prompt(new PromptSegment(9, 512))[..76]));

    [Test]
    public void Another_seed_gives_other_tokens()
    {
        var arrival = new Arrival(TimeSpan.Zero, [new PromptSegment(9, 50)], 1);
        Assert.That(new PromptSynthesizer(4).Synthesize(arrival), Is.Not.EqualTo(_synthesizer.Synthesize(arrival)));
    }

    [Test]
    public void Tokens_are_spread_over_the_vocabulary()
    {
        int[] tokens = Prompt(new PromptSegment(1, 100_000));
        Assert.That(tokens, Has.All.InRange(SimulatedTokenizer.EosTokenId + 1, SimulatedTokenizer.VocabularySize - 1));
        // 100,000 draws from 128,253 ids leave (1 − e^(−0.78)) × 128,253 ≈ 69,450 distinct ones.
        Assert.That(tokens.Distinct().Count(), Is.EqualTo(69_450).Within(1).Percent);
    }

    private int[] Prompt(params PromptSegment[] segments) => _synthesizer.Synthesize(new Arrival(TimeSpan.Zero, segments, 1));
}
