using System.Runtime.CompilerServices;

namespace MLFramework.Compare.Tests;

/// <summary>The bytes that go to llama.cpp.</summary>
public sealed class PeerParametersTests
{
    [Test]
    public void They_have_the_sizes_of_the_C_structures()
    {
        Assert.That(Unsafe.SizeOf<PeerModelParameters>(), Is.EqualTo(80));
        Assert.That(Unsafe.SizeOf<PeerContextParameters>(), Is.EqualTo(160));
    }

    [Test]
    public void Every_member_lies_at_its_offset_and_touches_nothing_else()
    {
        var parameters = new PeerContextParameters
        {
            ContextLength = 0x01020304, BatchLength = 2, MicroBatchLength = 3, Sequences = 4, Threads = 5, FlashAttention = true, CacheInSingles = false, NoTimings = true, Unified = true,
        };
        byte[] expected = new byte[PeerContextParameters.Length];
        new byte[] { 4, 3, 2, 1 }.CopyTo(expected, 0);
        (expected[4], expected[8], expected[12], expected[28], expected[32], expected[52], expected[104], expected[108], expected[130], expected[133]) = (2, 3, 4, 5, 5, 1, 1, 1, 1, 1);

        Assert.That(((ReadOnlySpan<byte>)parameters).ToArray(), Is.EqualTo(expected));
    }

    [Test]
    public void Defaults_of_another_version_are_not_taken_for_those_of_this()
    {
        PeerContextParameters defaults = Defaults(), other = Defaults();
        other.MicroBatchLength = 1024;

        Assert.That(defaults.AreKnownDefaults, Is.True);
        Assert.That(other.AreKnownDefaults, Is.False);
        Assert.That(default(PeerContextParameters).AreKnownDefaults, Is.False);
    }

    [Test]
    public void What_llama_cpp_says_of_a_context_is_found_in_its_log()
    {
        const string Log = "llama_context: n_ctx                 = 512\nllama_context: flash_attn            = disabled\nllama_context: flash_attn            = enabled\nlast";

        Assert.That(PeerLog.Find(Log, "llama_context: flash_attn "), Is.EqualTo("enabled"));
        Assert.That(PeerLog.Find(Log, "la"), Is.EqualTo("st"));
        Assert.That(PeerLog.Find(Log, "llama_context: kv_unified "), Is.Null);
    }

    /// <summary>The members with values of their own, as llama.cpp v0.5.0 states them.</summary>
    private static PeerContextParameters Defaults()
    {
        var defaults = new PeerContextParameters { ContextLength = 512, BatchLength = 2048, MicroBatchLength = 512, Sequences = 1, Threads = 4 };
        for (int i = 52; i < 56; i++) defaults[i] = 255;
        (defaults[104], defaults[108]) = (1, 1);
        return defaults;
    }
}
