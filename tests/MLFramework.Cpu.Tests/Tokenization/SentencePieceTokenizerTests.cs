namespace MLFramework.Cpu.Tests;

public sealed class SentencePieceTokenizerTests
{
    private readonly Tokenizer _llama = TestVocabularies.Load("llama-spm").Tokenizer;

    [Test]
    public void A_prompt_starts_with_BOS_and_a_space()
    {
        Assert.That(Texts("Hello"), Is.EqualTo(new[] { "<s>", "▁Hello" }));
        Assert.That(Texts(""), Is.EqualTo(new[] { "<s>" }));
        Assert.That(_llama.Encode("", addSpecial: false, parseSpecial: false), Is.Empty);
    }

    [Test]
    public void A_space_is_put_after_every_special_token()
    {
        int[] ids = _llama.Encode("Hello</s>Hello", addSpecial: false, parseSpecial: true);

        Assert.That(ids.Select(_llama.Vocabulary.Text), Is.EqualTo(new[] { "▁Hello", "</s>", "▁Hello" }));
    }

    [Test]
    public void Decoding_takes_away_the_space_that_encoding_put_after_BOS_but_none_of_a_continuation()
    {
        int[] ids = _llama.Encode("Hello world");

        Assert.That(_llama.Decode(ids), Is.EqualTo("Hello world"));
        Assert.That(_llama.Decode(ids[1..]), Is.EqualTo(" Hello world"));
    }

    [Test]
    public void Characters_without_a_token_are_spelled_by_bytes()
    {
        Assert.That(Texts("🦙")[2..], Is.EqualTo(new[] { "<0xF0>", "<0x9F>", "<0xA6>", "<0x99>" }));
        Assert.That(_llama.Decode(_llama.Encode("🦙")), Is.EqualTo("🦙"));
    }

    [TestCase("<s>")]
    [TestCase("</s>")]
    [TestCase("<unk>")]
    [TestCase("<0x0A>")]
    public void User_text_never_becomes_a_control_unknown_or_byte_token(string text)
    {
        int[] ids = _llama.Encode($"a{text}b{text}", addSpecial: false, parseSpecial: false);

        Assert.That(ids.Select(_llama.Vocabulary.Kind), Has.None.EqualTo(TokenKind.Control).And.None.EqualTo(TokenKind.Unknown));
        Assert.That(ids.Select(_llama.Vocabulary.Text), Has.None.EqualTo(text));
    }

    [Test]
    public void Merging_itself_makes_no_control_token_either()
    {
        // "<s" and ">" are tokens and so is "<s>": merged by text alone, they would be BOS.
        Tokenizer tokenizer = Small(["<unk>", "<s>", "</s>", "▁", "<", "s", ">", "<s", "s>"], [2, 3, 3, 1, 1, 1, 1, 1, 1], [0, 10, 0, 0, 0, 0, 0, 5, 4]);

        Assert.That(tokenizer.Encode("<s>", addSpecial: false, parseSpecial: false), Is.EqualTo(new[] { 3, 7, 6 }));
        Assert.That(tokenizer.Encode("<s>", addSpecial: false, parseSpecial: true), Is.EqualTo(new[] { 1 }));
    }

    [Test]
    public void The_highest_score_merges_first_and_of_equal_ones_the_leftmost()
    {
        Tokenizer tokenizer = Small(["<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "ba", "aa"], [2, 3, 3, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, -2, -1, -3]);

        Assert.That(Encode(tokenizer, "aba"), Is.EqualTo(new[] { "▁", "a", "ba" }));
        Assert.That(Encode(tokenizer, "aaa"), Is.EqualTo(new[] { "▁", "aa", "a" }));
        Assert.That(Encode(tokenizer, "abab"), Is.EqualTo(new[] { "▁", "a", "ba", "b" }));
    }

    [Test]
    public void A_token_across_a_space_is_found_too()
    {
        Tokenizer tokenizer = Small(["<unk>", "<s>", "</s>", "▁", "a", "b", "a▁", "a▁b"], [2, 3, 3, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, -1, -2]);

        Assert.That(Encode(tokenizer, "a b"), Is.EqualTo(new[] { "▁", "a▁b" }));
    }

    [Test]
    public void Without_bytes_what_cannot_be_spelled_is_unknown() =>
        Assert.That(Encode(Small(["<unk>", "<s>", "</s>", "▁", "a"], [2, 3, 3, 1, 1], new float[5]), "aß"), Is.EqualTo(new[] { "▁", "a", "<unk>", "<unk>" }));

    [Test]
    public void A_byte_token_has_the_form_of_one() =>
        Assert.That(() => Small(["<unk>", "<0xZZ>"], [2, 6], new float[2]),
            Throws.TypeOf<GgufException>().With.Property("Field").EqualTo("tokenizer.ggml.tokens[1]"));

    [TestCase("a")]
    [TestCase(" ")]
    [TestCase("\n")]
    [TestCase("語")]
    [TestCase("🦙")]
    [TestCase("<s>")]
    [TestCase("ab ")]
    public void A_megabyte_of_one_character_is_encoded_in_bounded_work(string unit)
    {
        string text = string.Concat(Enumerable.Repeat(unit, (1 << 20) / unit.Length / 2));

        int[] ids = _llama.Encode(text);   // anything quadratic would take hours

        Assert.That(_llama.Decode(ids), Is.EqualTo(text));
    }

    [Test]
    public void Phi_3_swallows_white_space_after_its_marks()
    {
        Tokenizer phi = TestVocabularies.Load("phi-3").Tokenizer;

        int[] ids = phi.Encode("<|user|> \n Hello<|end|>\n", addSpecial: false, parseSpecial: true);

        Assert.That(ids.Select(phi.Vocabulary.Text), Is.EqualTo(new[] { "<|user|>", "▁Hello", "<|end|>" }));
    }

    private static Tokenizer Small(string[] tokens, int[] types, float[] scores)
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().Add("tokenizer.ggml.model", "llama")
            .AddArray("tokenizer.ggml.tokens", tokens).AddArray("tokenizer.ggml.token_type", types).AddArray("tokenizer.ggml.scores", scores)));
        return Tokenizer.Load(file.Metadata);
    }

    private static string[] Encode(Tokenizer tokenizer, string text) =>
        [.. tokenizer.Encode(text, addSpecial: false, parseSpecial: false).Select(tokenizer.Vocabulary.Text)];

    private string[] Texts(string text) => [.. _llama.Encode(text).Select(_llama.Vocabulary.Text)];
}
