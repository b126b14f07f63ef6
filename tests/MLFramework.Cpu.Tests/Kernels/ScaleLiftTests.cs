namespace MLFramework.Cpu.Tests;

public sealed unsafe class ScaleLiftTests
{
    /// <summary>Each finite half in turn is the largest scale, so that every lift occurs; beside it are fractions of it, and bytes that are no scales.</summary>
    [Test]
    public void Scales_become_larger_by_a_power_of_two_and_lose_nothing()
    {
        const int Length = 4, Runs = 3, Stride = 24;
        var memory = new byte[Runs * Stride];
        for (int bits = 0; bits < 0x7C00; bits++)
        {
            memory.AsSpan().Fill(0xA5);
            Half largest = BitConverter.UInt16BitsToHalf((ushort)bits);
            var before = new Half[Runs * Length];
            for (int i = 0; i < before.Length; i++) before[i] = i == bits % before.Length ? largest : (Half)((float)largest / -(i + 1.5f));
            fixed (byte* start = memory)
            {
                for (int i = 0; i < before.Length; i++) Scale(start, i) = before[i];
                float factor = ScaleLift.Raise(start, Length, Stride, Runs);
                var after = new Half[before.Length];
                for (int i = 0; i < after.Length; i++) after[i] = Scale(start, i);

                Assert.That(after.Select(scale => (float)scale * factor), Is.EqualTo(before.Select(scale => (float)scale)), $"{largest}");
                Assert.That(MathF.Log2(factor) % 1, Is.Zero, "A power of two.");
                if (largest < Half.One && largest != default) Assert.That(after.Max(Half.Abs), Is.InRange(Half.One, (Half)2), $"{largest}");
                else Assert.That(factor, Is.EqualTo(1), $"{largest}: large enough.");
            }
            for (int run = 0; run < Runs; run++) Assert.That(memory.AsSpan(run * Stride + Length * sizeof(Half), Stride - Length * sizeof(Half)).ContainsAnyExcept((byte)0xA5), Is.False);
        }

        static ref Half Scale(byte* start, int index) => ref *(Half*)(start + index / Length * Stride + index % Length * sizeof(Half));
    }
}
