namespace MLFramework.Compare.Tests;

public sealed class FidelityRowTests
{
    [Test]
    public void The_error_is_relative_to_what_is_expected()
    {
        Assert.That(FidelityRow.RelativeError([3, 4], [3, 4]), Is.Zero);
        Assert.That(FidelityRow.RelativeError([3, 4.5f], [3, 4]), Is.EqualTo(0.1).Within(1e-12));
        Assert.That(FidelityRow.RelativeError([300, 450], [300, 400]), Is.EqualTo(0.1).Within(1e-12));
    }

    [Test]
    public void Logits_that_are_no_numbers_are_no_small_error() => Assert.That(FidelityRow.RelativeError([float.NaN], [1]), Is.NaN);
}
