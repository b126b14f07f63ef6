namespace MLFramework.Compare.Tests;

public sealed class LogitErrorTests
{
    [Test]
    public void The_error_is_relative_to_what_is_expected()
    {
        Assert.That(LogitError.Relative([3, 4], [3, 4]), Is.Zero);
        Assert.That(LogitError.Relative([3, 4.5f], [3, 4]), Is.EqualTo(0.1).Within(1e-12));
        Assert.That(LogitError.Relative([300, 450], [300, 400]), Is.EqualTo(0.1).Within(1e-12));
    }

    [Test]
    public void Logits_that_are_no_numbers_are_no_small_error() => Assert.That(LogitError.Relative([float.NaN], [1]), Is.NaN);

    [Test]
    public void Over_positions_the_squares_are_averaged_and_the_worst_is_kept()
    {
        var error = LogitError.Of([0.3, 0.4, 0]);

        Assert.That(error.Typical, Is.EqualTo(Math.Sqrt(0.25 / 3)).Within(1e-12));
        Assert.That(error.Worst, Is.EqualTo(0.4));
        Assert.That(LogitError.Better(error, new LogitError(0.2, 9)), Is.EqualTo(new LogitError(0.2, 9)));
    }
}
