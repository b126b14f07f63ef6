namespace MLFramework.Cli.Tests;

public sealed class OutputFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Test]
    public void A_disk_with_too_little_room_is_refused_before_anything_is_written()
    {
        string path = _folder.File("huge");
        Assert.That(() => OutputFile.Write(path, false, 1L << 60, _ => Assert.Fail("Nothing is to be written.")), Throws.TypeOf<UsageException>().With.Message.Contains("free"));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void A_file_appears_when_it_is_whole()
    {
        string path = _folder.File("a");
        long length = OutputFile.Write(path, false, 3, stream =>
        {
            stream.Write([1, 2, 3]);
            Assert.That(File.Exists(path), Is.False);
        });
        Assert.That(length, Is.EqualTo(3));
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(new byte[] { 1, 2, 3 }));
    }

    [Test]
    public void A_failure_leaves_nothing()
    {
        Assert.That(() => OutputFile.Write(_folder.File("a"), false, 0, _ => throw new IOException("full")), Throws.InstanceOf<IOException>());
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [TestCase(0, "0 bytes")]
    [TestCase(999, "999 bytes")]
    [TestCase(144_462_336, "144.46 MB")]
    [TestCase(5_000_000_000, "5 GB")]
    public void Byte_counts_read_well(long bytes, string text) => Assert.That(ByteCount.Format(bytes), Is.EqualTo(text));

    public void Dispose() => _folder.Dispose();
}
