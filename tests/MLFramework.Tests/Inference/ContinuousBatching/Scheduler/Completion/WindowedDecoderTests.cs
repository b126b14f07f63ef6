using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Completion;

public class WindowedDecoderTests
{
    private readonly ByteTokenizer _tokenizer = new();

    [TestCase("plain ascii")]
    [TestCase("é, ß, 中文, 日本語")]
    [TestCase("👩‍👩‍👧 and 🇫🇷 🎉🎉🎉")]
    [TestCase("a\uFFFDb")]
    [TestCase("")]
    public void The_pieces_make_up_the_text_and_none_splits_a_character(string text)
    {
        var decoder = new WindowedDecoder(_tokenizer);
        List<string> pieces = [.. _tokenizer.Encode(text).Select(decoder.Append)];
        pieces.Add(decoder.Flush());
        Assert.That(string.Concat(pieces), Is.EqualTo(text));
        foreach (string piece in pieces)
        {
            Assert.That(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1])), Is.False, "Half a character.");
        }
    }

    [Test]
    public void A_character_appears_with_its_last_byte()
    {
        var decoder = new WindowedDecoder(_tokenizer);
        Assert.That(_tokenizer.Encode("a中b").Select(decoder.Append), Is.EqualTo(new[] { "a", "", "", "中", "b" }));
    }

    [Test]
    public void Bytes_that_are_no_character_are_replaced_and_do_not_hold_back_the_rest()
    {
        var decoder = new WindowedDecoder(_tokenizer);
        Assert.That(decoder.Append(0xE4), Is.Empty);
        Assert.That(decoder.Append('x'), Is.EqualTo("\uFFFDx"));
    }

    [Test]
    public void Endless_nonsense_is_handed_out_in_the_end()
    {
        var decoder = new WindowedDecoder(_tokenizer);
        string text = string.Concat(Enumerable.Repeat(0x80, 20).Select(decoder.Append)) + decoder.Flush();
        Assert.That(text, Is.EqualTo(new string('\uFFFD', 20)));
    }

    [Test]
    public void An_incomplete_character_at_the_end_is_replaced()
    {
        var decoder = new WindowedDecoder(_tokenizer);
        decoder.Append('a');
        decoder.Append(0xE4);
        Assert.That(decoder.Flush(), Is.EqualTo("\uFFFD"));
        Assert.That(decoder.Flush(), Is.Empty);
    }

    [Test]
    public void A_tokens_text_may_depend_on_the_token_before()
    {
        var decoder = new WindowedDecoder(new LeadingSpaceTokenizer());
        Assert.That(string.Concat(new[] { 1, 2, 3 }.Select(decoder.Append)), Is.EqualTo("one two three"));
    }

    /// <summary>Words carry a space before them, but for the first of what is decoded at once: as SentencePiece does.</summary>
    private sealed class LeadingSpaceTokenizer : ITokenizer
    {
        private static readonly string[] s_words = ["", "one", "two", "three"];

        public int[] Encode(string text) => [.. text.Split(' ').Select(w => Array.IndexOf(s_words, w))];

        public string Decode(int[] tokenIds) => string.Join(' ', tokenIds.Select(i => s_words[i]));

        public int GetVocabSize() => s_words.Length;
    }
}
