using FsCheck;
using FsCheck.Fluent;

namespace MLFramework.Cpu.Tests;

public sealed class IncrementalDecoderTests
{
    private readonly Tokenizer _demo = LoadDemo();

    [Test]
    public void A_character_of_several_tokens_comes_whole()
    {
        int[] ids = _demo.Encode("🦙!");   // the demo model spells it by bytes
        Assert.That(ids, Has.Length.EqualTo(5));
        IncrementalDecoder decoder = _demo.CreateIncrementalDecoder();

        Assert.That(ids.Select(decoder.Append), Is.EqualTo(new[] { "", "", "", "🦙", "!" }));
        Assert.That(decoder.Flush(), Is.Empty);
    }

    [Test]
    public void A_character_that_never_ends_is_replaced_at_the_end()
    {
        IncrementalDecoder decoder = _demo.CreateIncrementalDecoder();

        Assert.That(_demo.Encode("🦙")[..2].Select(decoder.Append), Is.EqualTo(new[] { "", "" }));
        Assert.That(decoder.Flush(), Is.EqualTo("\uFFFD"));
    }

    [Test]
    public void A_decoder_that_was_flushed_starts_anew()
    {
        Tokenizer llama = TestVocabularies.Load("llama-spm").Tokenizer;
        IncrementalDecoder decoder = llama.CreateIncrementalDecoder();
        int[] ids = llama.Encode("Hello");

        string Decode() => string.Concat(ids.Select(decoder.Append)) + decoder.Flush();

        Assert.That((Decode(), Decode()), Is.EqualTo(("Hello", "Hello")));
    }

    [Test]
    public void Ids_outside_the_vocabulary_are_refused()
    {
        IncrementalDecoder decoder = _demo.CreateIncrementalDecoder();

        Assert.That(() => decoder.Append(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => decoder.Append(_demo.GetVocabSize()), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => _demo.Decode([0, 2048]), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    /// <summary>Random tokens are mostly broken UTF-8: the pieces must join to the same text and hold no half of a surrogate pair.</summary>
    [Test]
    public void Any_tokens_give_the_same_text_piece_by_piece_as_at_once()
    {
        foreach (Tokenizer tokenizer in (Tokenizer[])[_demo, TestVocabularies.Load("llama-spm").Tokenizer])
        {
            Prop.ForAll(Gen.Choose(0, tokenizer.GetVocabSize() - 1).ArrayOf().ToArbitrary(), ids =>
            {
                IncrementalDecoder decoder = tokenizer.CreateIncrementalDecoder();
                string[] pieces = [.. ids.Select(decoder.Append), decoder.Flush()];
                return string.Concat(pieces) == tokenizer.Decode(ids) && pieces.All(piece => string.Concat(piece.EnumerateRunes()) == piece);
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
        }
    }

    private static Tokenizer LoadDemo()
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));
        return Tokenizer.Load(file.Metadata);
    }
}
