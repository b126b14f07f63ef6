using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Load;

public class LengthDistributionTests
{
    [Test]
    public void A_fixed_length_is_always_the_same()
    {
        var random = new RandomStream(1);
        var fixedLength = new LengthDistribution(300);
        Assert.That(Enumerable.Range(0, 100).Select(_ => fixedLength.Draw(random)), Has.All.EqualTo(300));
    }

    [Test]
    public void Half_of_a_log_normal_is_below_its_median_and_none_beyond_its_maximum()
    {
        var random = new RandomStream(1);
        var lengths = new LengthDistribution(100, 2);
        int[] drawn = [.. Enumerable.Range(0, 20_000).Select(_ => lengths.Draw(random))];
        Assert.That(drawn.Count(n => n < 100) / 20_000.0, Is.EqualTo(0.5).Within(0.02));
        Assert.That(drawn, Has.All.InRange(1, 1600));
        Assert.That(drawn.Max(), Is.EqualTo(1600));
    }

    [TestCase("512", 512, 0)]
    [TestCase("1020~0.5", 1020, 0.5)]
    public void It_is_parsed_from_what_its_message_says(string text, int median, double sigma) =>
        Assert.That(LengthDistribution.Parse(text), Is.EqualTo(new LengthDistribution(median, sigma)));

    [TestCase("")]
    [TestCase("x")]
    [TestCase("-5")]
    [TestCase("0")]
    [TestCase("99999999999")]
    [TestCase("10~")]
    [TestCase("10~-1")]
    [TestCase("10~9")]
    [TestCase("10~1~1")]
    public void Anything_else_is_refused(string text) =>
        Assert.That(() => LengthDistribution.Parse(text), Throws.InstanceOf<FormatException>());
}
