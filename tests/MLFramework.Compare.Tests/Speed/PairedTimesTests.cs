namespace MLFramework.Compare.Tests;

public sealed class PairedTimesTests
{
    private readonly PairedTimes _times = new();

    [Test]
    public void The_ratio_is_the_median_of_the_ratios_and_not_the_ratio_of_the_medians()
    {
        _times.Add(1, 2);
        _times.Add(10, 30);
        _times.Add(2, 20);

        Assert.That(_times.MedianRatio, Is.EqualTo(3));
        Assert.That((_times.OwnMedian, _times.PeerMedian), Is.EqualTo((2.0, 20.0)));
        Assert.That((_times.OwnBest, _times.PeerBest), Is.EqualTo((1.0, 2.0)));
    }

    [Test]
    public void A_machine_that_slows_down_for_both_does_not_change_the_ratio()
    {
        for (int speed = 1; speed <= 8; speed++) _times.Add(1.0 / speed, 2.0 / speed);

        Assert.That(_times.MedianRatio, Is.EqualTo(2));
    }

    [Test]
    public void Of_an_even_number_the_median_is_the_mean_of_the_two_in_the_middle() =>
        Assert.That(PairedTimes.Median([4, 1, 3, 100]), Is.EqualTo(3.5));

    [Test]
    public void Of_nothing_there_is_no_median() => Assert.That(() => _times.MedianRatio, Throws.ArgumentException);

    [TestCase(0, 1)]
    [TestCase(1, -1)]
    public void Times_are_positive(double own, double peer) => Assert.That(() => _times.Add(own, peer), Throws.InstanceOf<ArgumentOutOfRangeException>());

    [Test]
    public void A_cell_compares_with_the_kind_of_attention_against_which_we_look_worse()
    {
        PairedTimes withFlash = Of(0.5, 2), without = Of(0.5, 1);

        SpeedCell cell = SpeedCell.Of(Phase.Decode, 8, 256, withFlash, without, sameTokens: 8), other = SpeedCell.Of(Phase.Prefill, 1, 512, without, withFlash, sameTokens: 1);

        Assert.That((cell.FlashAttention, cell.Ratio, cell.OtherRatio), Is.EqualTo((false, 2.0, 4.0)));
        Assert.That((cell.OwnTokensPerSecond, cell.PeerTokensPerSecond, cell.PeerStepMs), Is.EqualTo((16.0, 8.0, 1000.0)));
        Assert.That((other.FlashAttention, other.Ratio, other.OwnTokensPerSecond), Is.EqualTo((true, 2.0, 1024.0)));
    }

    private static PairedTimes Of(double own, double peer)
    {
        var times = new PairedTimes();
        times.Add(own, peer);
        return times;
    }
}
