using FsCheck;
using FsCheck.Fluent;

namespace MLFramework.Cpu.Tests;

/// <summary>The words are what the regular expressions of the models give; whole vocabularies test them further.</summary>
public sealed class PreTokenizerTests
{
    private static readonly string[] OneOfEach = ["default", "gpt-2", "starcoder", "llama-bpe", "qwen2", "falcon", "deepseek-coder", "deepseek-llm"];

    [TestCase("gpt-2", "Hello world", "Hello| world")]
    [TestCase("gpt-2", "it's we'll I'D", "it|'s| we|'ll| I|'|D")]
    [TestCase("gpt-2", "a  b\n\n c", "a| | b|\n\n| c")]
    [TestCase("gpt-2", "end  ", "end|  ")]
    [TestCase("gpt-2", "x12345 ½!?", "x|12345| ½|!?")]
    [TestCase("gpt-2", "𝒳𝒴 名前", "𝒳𝒴| 名前")]
    [TestCase("starcoder", "x123", "x|1|2|3")]
    [TestCase("smollm", " 12 a", " |1|2| a")]
    [TestCase("command-r", "v2.0", "v|2|.|0")]
    [TestCase("llama-bpe", "1234567 it'S", "123|456|7| it|'S")]
    [TestCase("llama-bpe", "(hello).\n\nnext", "(hello|).\n\n|next")]
    [TestCase("llama-bpe", "a \n \n  b", "a| \n \n| | b")]
    [TestCase("qwen2", "123 'LL", "1|2|3| '|LL")]
    [TestCase("qwen2", "a'LL\tb", "a|'LL|\tb")]
    [TestCase("falcon", "a+b=`c` 12345", "a|+|b|=`|c|`| |123|45")]
    [TestCase("deepseek-coder", "Hi, you\n12 名前です", "Hi|,| you|\n|1|2| |名前です")]
    [TestCase("deepseek-llm", "Hi  123 名前です.  ", "Hi|  |123| |名前です|.|  ")]
    [TestCase("default", "a.b 1234", "a|.|b| |123|4")]
    public void Text_is_cut_into_words(string name, string text, string words)
    {
        PreTokenizer preTokenizer = Load(name);

        Assert.That(Words(preTokenizer, text), Is.EqualTo(words.Split('|')));
    }

    [Test]
    public void A_file_that_names_none_means_default() => Assert.That(Words(Load(null), "a.b 1234"), Is.EqualTo(Words(Load("default"), "a.b 1234")));

    [Test]
    public void An_unknown_one_is_refused_by_name_with_the_known_ones() => Assert.That(() => Load("klingon"), Throws.TypeOf<GgufException>()
        .With.Message.Contains("tokenizer.ggml.pre is 'klingon'").And.Message.Contains("gpt-2").And.Message.Contains("qwen2")
            .And.Message.Contains("llama-bpe"));

    [Test]
    public void Words_together_are_the_text([ValueSource(nameof(OneOfEach))] string name)
    {
        PreTokenizer preTokenizer = Load(name);

        Prop.ForAll<string>(text => string.Concat(Words(preTokenizer, text ?? "")) == (text ?? "")).QuickCheckThrowOnFailure();
    }

    [Test]
    public void A_quarter_of_a_million_of_one_character_is_cut_in_linear_time(
        [ValueSource(nameof(OneOfEach))] string name, [Values(" ", "\n", "a", "1", "'", "名", "　")] string unit)
    {
        // The word at the end makes expressions that look for the end of the text fail there.
        string text = string.Concat(Enumerable.Repeat(unit, 1 << 18)) + "x";

        Assert.That(Load(name).Split(text).ToArray().Sum(word => word.Length), Is.EqualTo(text.Length));
    }

    private static string[] Words(PreTokenizer preTokenizer, string text)
    {
        var words = new List<string>();
        foreach ((int start, int length) in preTokenizer.Split(text)) words.Add(text.Substring(start, length));
        return [.. words];
    }

    private static PreTokenizer Load(string? name)
    {
        var writer = new GgufWriter();
        if (name is not null) writer.Add("tokenizer.ggml.pre", name);
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(writer));
        return PreTokenizer.Load(file.Metadata);
    }
}
