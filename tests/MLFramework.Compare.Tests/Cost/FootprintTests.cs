namespace MLFramework.Compare.Tests;

public sealed class FootprintTests
{
    private readonly List<string> _rows =
    [
        """{"phase":"load","model":"m","threads":2,"seconds":0.5}""",
        """{"phase":"prefill","tokens":64,"tokensPerSecond":1}""",
        """{"phase":"decode","batch":1,"allocatedBytesPerStep":24}""",
        """{"phase":"memory","fileBytes":1000,"packedBytes":900,"kvBytes":10,"loadPeakBytes":1100,"peakBytes":1200}""",
    ];

    [Test]
    public void What_is_wanted_is_read_from_the_rows_of_mlf() => Assert.That(Footprint.Parse(_rows), Is.EqualTo(new Footprint(0.5, 1000, 1100, 24)));

    [Test]
    public void A_row_that_is_missing_is_named()
    {
        _rows.RemoveAt(3);

        Assert.That(() => Footprint.Parse(_rows), Throws.TypeOf<CompareException>().With.Message.Contains("fileBytes (memory)"));
    }
}
