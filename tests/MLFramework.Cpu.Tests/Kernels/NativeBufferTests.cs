namespace MLFramework.Cpu.Tests;

public sealed unsafe class NativeBufferTests
{
    [Test]
    public void Memory_is_zero_and_aligned([Values] bool usesHugePages, [Values(0, 1, 5 << 20)] int length)
    {
        using var buffer = new NativeBuffer<byte>(length, usesHugePages);
        Assert.That((long)buffer.Pointer % (usesHugePages && length >= HugePages.Size ? HugePages.Size : 64), Is.Zero);
        Assert.That(new ReadOnlySpan<byte>(buffer.Pointer, length).ContainsAnyExcept((byte)0), Is.False);
    }

    [Test]
    public void Slices_keep_the_memory_of_a_disposed_buffer()
    {
        var buffer = new NativeBuffer<byte>(256);
        var first = new MemorySlice(buffer, 0);
        using var second = new MemorySlice(buffer, 128);
        buffer.Dispose();
        first.Dispose();
        first.Dispose();

        new Span<byte>(second.Pointer, 128).Fill(7);
        Assert.That(second.Pointer[127], Is.EqualTo(7));
    }

    [Test]
    public void What_is_smaller_than_a_huge_page_gets_none() => Assert.That(HugePages.TryUse(null, HugePages.Size - 1), Is.False);
}
