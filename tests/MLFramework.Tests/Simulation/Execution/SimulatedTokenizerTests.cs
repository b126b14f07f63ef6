using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Execution;

public class SimulatedTokenizerTests
{
    private readonly SimulatedTokenizer _tokenizer = new();

    [TestCase("", 0)]
    [TestCase("a", 1)]
    [TestCase("four", 1)]
    [TestCase("fives", 2)]
    public void Four_characters_make_a_token(string text, int tokens) =>
        Assert.That(_tokenizer.Encode(text), Has.Length.EqualTo(tokens));

    [Test]
    public void Equal_beginnings_make_equal_tokens()
    {
        int[] first = _tokenizer.Encode("a system prompt. one");
        int[] second = _tokenizer.Encode("a system prompt. two");
        Assert.That(first[..4], Is.EqualTo(second[..4]));
        Assert.That(first[^1], Is.Not.EqualTo(second[^1]));
    }

    [Test]
    public void Every_token_is_in_the_vocabulary_and_none_is_special()
    {
        int[] tokens = _tokenizer.Encode(string.Concat(Enumerable.Range(0, 4000).Select(i => (char)('0' + (i % 75)))));
        Assert.That(tokens, Has.All.InRange(SimulatedTokenizer.EosTokenId + 1, _tokenizer.GetVocabSize() - 1));
    }

    [Test]
    public void A_token_decodes_to_one_letter_and_the_end_of_sequence_to_none()
    {
        int[] tokens = [30, 31, SimulatedTokenizer.EosTokenId];
        IIncrementalDecoder decoder = _tokenizer.CreateIncrementalDecoder();
        Assert.That(_tokenizer.Decode(tokens), Is.EqualTo("ef"));
        Assert.That(string.Concat(tokens.Select(decoder.Append)) + decoder.Flush(), Is.EqualTo("ef"));
    }
}
