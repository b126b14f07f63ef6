namespace MLFramework.Cli.Tests.CommandLine;

public class DurationTextTests
{
    [TestCase("50ms", 0.05)]
    [TestCase("0.5ms", 0.0005)]
    [TestCase("1.5s", 1.5)]
    [TestCase("2m", 120)]
    [TestCase("1440m", 86_400)]
    public void A_number_with_a_unit_is_a_duration(string text, double seconds) =>
        Assert.That(DurationText.Parse(text), Is.EqualTo(TimeSpan.FromSeconds(seconds)));

    [TestCase("")]
    [TestCase("50")]
    [TestCase("ms")]
    [TestCase("-1s")]
    [TestCase("0s")]
    [TestCase("1441m")]
    [TestCase("99999999999999999999m")]
    [TestCase("1h")]
    public void Anything_else_is_refused_with_an_example(string text) =>
        Assert.That(() => DurationText.Parse(text), Throws.InstanceOf<FormatException>().With.Message.Contains("50ms"));

    [TestCase(0.05, "50ms")]
    [TestCase(0.0125, "12.5ms")]
    [TestCase(1, "1s")]
    [TestCase(90.5, "90.5s")]
    public void A_duration_is_shown_in_the_unit_that_suits_it(double seconds, string text) =>
        Assert.That(DurationText.Format(TimeSpan.FromSeconds(seconds)), Is.EqualTo(text));
}
