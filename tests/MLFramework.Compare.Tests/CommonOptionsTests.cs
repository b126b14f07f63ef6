namespace MLFramework.Compare.Tests;

public sealed class CommonOptionsTests
{
    [Test]
    public void Lists_of_numbers_are_read()
    {
        Assert.That(CommonOptions.ParseNumbers("1,4,64", 64), Is.EqualTo(new[] { 1, 4, 64 }));
        Assert.That(CommonOptions.ParseNumbers("none", 64), Is.Empty);
    }

    [TestCase("")]
    [TestCase("1,,2")]
    [TestCase("0")]
    [TestCase("65")]
    [TestCase("1,-2")]
    [TestCase("many")]
    public void Other_lists_are_refused_with_the_range(string text) =>
        Assert.That(() => CommonOptions.ParseNumbers(text, 64), Throws.TypeOf<FormatException>().With.Message.Contains("from 1 to 64"));
}
