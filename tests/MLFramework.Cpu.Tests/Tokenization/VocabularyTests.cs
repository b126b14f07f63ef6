namespace MLFramework.Cpu.Tests;

public sealed class VocabularyTests
{
    [Test]
    public void The_demo_model_ends_at_its_marks()
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));
        Vocabulary vocabulary = Tokenizer.Load(file.Metadata).Vocabulary;

        Assert.That((vocabulary.Count, vocabulary.BosId, vocabulary.EosId, vocabulary.AddBos, vocabulary.AddEos),
            Is.EqualTo((2048, (int?)0, (int?)2, false, false)));
        Assert.That(vocabulary.EndOfGenerationIds, Is.EqualTo(new[] { 0, 2 }), "<|endoftext|> and <|im_end|>");
        Assert.That((vocabulary.Text(1), vocabulary.Kind(1), vocabulary.FindControl("<|im_start|>"), vocabulary.FindControl("the")),
            Is.EqualTo(("<|im_start|>", TokenKind.Control, (int?)1, (int?)null)));
        Assert.That(() => vocabulary.Text(2048), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Another_family_is_refused_by_name_with_the_known_ones() =>
        Assert.That(() => Load(new GgufWriter().Add("tokenizer.ggml.model", "bert")), Throws.TypeOf<GgufException>()
            .With.Message.EqualTo("tokenizer.ggml.model is 'bert', a tokenizer that is not supported; known are gpt2, llama"));

    [Test]
    public void A_file_without_a_vocabulary_is_refused()
    {
        AssertRefused(new GgufWriter(), "tokenizer.ggml.model");
        AssertRefused(new GgufWriter().Add("tokenizer.ggml.model", "llama"), "tokenizer.ggml.tokens");
        AssertRefused(new GgufWriter().Add("tokenizer.ggml.model", "llama").AddArray("tokenizer.ggml.tokens", Array.Empty<string>()), "tokenizer.ggml.tokens");
    }

    [Test]
    public void Lists_of_other_lengths_are_refused()
    {
        AssertRefused(Three().AddArray("tokenizer.ggml.scores", [1f]), "tokenizer.ggml.scores");
        AssertRefused(Three().AddArray("tokenizer.ggml.token_type", [1, 1]), "tokenizer.ggml.token_type");
        AssertRefused(Three().AddArray("tokenizer.ggml.token_type", [1, 1, 7]), "tokenizer.ggml.token_type[2]");
    }

    [Test]
    public void Ids_outside_the_vocabulary_are_refused() => AssertRefused(Three().Add("tokenizer.ggml.eos_token_id", 3u), "tokenizer.ggml.eos_token_id");

    [Test]
    public void A_BOS_that_is_wanted_but_missing_is_refused() =>
        AssertRefused(Three().Add("tokenizer.ggml.bos_token_id", uint.MaxValue).Add("tokenizer.ggml.add_bos_token", true), "tokenizer.ggml.add_bos_token");

    [Test]
    public void Minus_one_means_none() => Assert.That(Load(Three().Add("tokenizer.ggml.bos_token_id", uint.MaxValue)).BosId, Is.Null);

    [Test]
    public void BOS_and_EOS_are_added_where_the_file_says_so()
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(Three().Add("tokenizer.ggml.bos_token_id", 1u)
            .Add("tokenizer.ggml.eos_token_id", 2u).Add("tokenizer.ggml.add_eos_token", true)));

        Assert.That(Tokenizer.Load(file.Metadata).Encode(""), Is.EqualTo(new[] { 1, 2 }));
        Assert.That(Tokenizer.Load(file.Metadata).Encode("", addSpecial: false, parseSpecial: false), Is.Empty);
    }

    /// <summary>Some converters declare role marks as user-defined, which text may become.</summary>
    [TestCase("<|im_start|>")]
    [TestCase("<|User|>")]
    [TestCase("<｜Assistant｜>")]
    [TestCase("<start_of_turn>")]
    [TestCase("</s>")]
    public void What_looks_like_a_control_token_is_one(string text) => Assert.That(LoadWith(text, 4).Kind(0), Is.EqualTo(TokenKind.Control));

    [TestCase("<table>")]
    [TestCase("<|")]
    [TestCase("||")]
    [TestCase("    ")]
    public void Other_user_defined_tokens_stay_so(string text) => Assert.That(LoadWith(text, 4).Kind(0), Is.EqualTo(TokenKind.UserDefined));

    [Test]
    public void User_defined_tokens_are_kept_whole_and_the_longest_wins()
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().Add("tokenizer.ggml.model", "gpt2").Add("tokenizer.ggml.pre", "gpt-2")
            .AddArray("tokenizer.ggml.tokens", ["<a>", "<a><b>", "<", "a", "b", ">"]).AddArray("tokenizer.ggml.token_type", [4, 4, 1, 1, 1, 1])
                .AddArray("tokenizer.ggml.merges", Array.Empty<string>())));
        Tokenizer tokenizer = Tokenizer.Load(file.Metadata);

        Assert.That(tokenizer.Encode("a<a><b><a>b<a"), Is.EqualTo(new[] { 3, 1, 0, 4, 2, 3 }));
        Assert.That(tokenizer.Decode([1, 0]), Is.EqualTo("<a><b><a>"));
    }

    private static GgufWriter Three() => new GgufWriter().Add("tokenizer.ggml.model", "llama").AddArray("tokenizer.ggml.tokens", ["a", "b", "c"]);

    private static Vocabulary LoadWith(string text, int type) => Load(new GgufWriter().Add("tokenizer.ggml.model", "llama")
        .AddArray("tokenizer.ggml.tokens", [text, "a", "b"]).AddArray("tokenizer.ggml.token_type", [type, 1, 1]).Add("tokenizer.ggml.add_bos_token", false));

    private static void AssertRefused(GgufWriter writer, string field) => Assert.That(() =>
        Load(writer), Throws.TypeOf<GgufException>().With.Property("Field").EqualTo(field));

    private static Vocabulary Load(GgufWriter writer)
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(writer));
        return Tokenizer.Load(file.Metadata).Vocabulary;
    }
}
