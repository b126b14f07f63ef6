using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Completion;

public class ResponseTextTests
{
    [Test]
    public void What_is_handed_out_makes_up_the_whole_and_never_holds_a_part_of_a_stop_string()
    {
        var random = new Random(7);
        for (int round = 0; round < 2000; round++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 30)).Select(_ => (char)('a' + random.Next(3))));
            List<string> stops = [.. Enumerable.Range(0, random.Next(3)).Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 5)).Select(_ => (char)('a' + random.Next(3)))))];
            int? most = random.Next(2) == 0 ? null : random.Next(1, 20);
            string expected = Reference(text, stops, most);

            var response = new ResponseText(new WordTokenizer(), stops, most);
            string handedOut = string.Empty;
            foreach (char c in text)
            {
                response.Take(c);
                handedOut += response.HandOut();
                Assert.That(expected, Does.StartWith(handedOut), $"'{text}', stops {string.Join(' ', stops)}, at most {most}");
            }

            Assert.That(response.Complete(), Is.EqualTo(expected), $"'{text}', stops {string.Join(' ', stops)}, at most {most}");
            Assert.That(handedOut + response.HandOut(), Is.EqualTo(expected));
        }
    }

    [Test]
    public void The_earliest_stop_string_in_one_piece_counts()
    {
        ResponseText response = Of(["Par", " P"], null, WordTokenizer.Word(" Paris"));
        Assert.That((response.Complete(), response.HasStopString), Is.EqualTo((string.Empty, true)));
    }

    [Test]
    public void A_stop_string_beyond_the_length_limit_is_not_in_the_response()
    {
        ResponseText response = Of(["is"], 2, WordTokenizer.Word(" Paris"));
        Assert.That((response.Complete(), response.HasStopString, response.IsTooLong), Is.EqualTo((" P", false, true)));
    }

    [TestCase(1, "")]
    [TestCase(2, "🎉")]
    [TestCase(3, "🎉")]
    [TestCase(4, "🎉🎉")]
    public void The_length_limit_splits_no_character(int most, string expected)
    {
        var response = new ResponseText(new ByteTokenizer(), [], most);
        foreach (int token in new ByteTokenizer().Encode("🎉🎉🎉"))
        {
            response.Take(token);
        }

        Assert.That(response.Complete(), Is.EqualTo(expected));
        Assert.That(response.IsTooLong);
    }

    [Test]
    public void A_stop_string_of_split_characters_is_found()
    {
        var tokenizer = new ByteTokenizer();
        var response = new ResponseText(tokenizer, ["。"], null);
        foreach (int token in tokenizer.Encode("完了。後"))
        {
            response.Take(token);
        }

        Assert.That((response.Complete(), response.HasStopString), Is.EqualTo(("完了", true)));
    }

    [Test]
    public void After_its_end_a_response_takes_no_more()
    {
        ResponseText response = Of(["x"], null, 'a', 'x', 'b');
        Assert.That((response.Complete(), response.TokensTaken), Is.EqualTo(("a", 3)));
    }

    [Test]
    public void A_tokenizers_own_incremental_decoder_is_used()
    {
        var response = new ResponseText(new ShoutingTokenizer(), [], null);
        response.Take('a');
        Assert.That(response.Complete(), Is.EqualTo("A!"));
    }

    private static ResponseText Of(List<string> stops, int? most, params int[] tokens)
    {
        var response = new ResponseText(new WordTokenizer(), stops, most);
        Array.ForEach(tokens, response.Take);
        return response;
    }

    /// <summary>Character by character, as the tokens come: the first stop string that is whole, else the length limit, ends the text.</summary>
    private static string Reference(string text, List<string> stops, int? most)
    {
        for (int length = 1; length <= text.Length; length++)
        {
            string soFar = text[..length];
            int at = stops.Select(s => soFar.IndexOf(s, StringComparison.Ordinal)).Where(i => i >= 0).DefaultIfEmpty(-1).Min();
            if (at >= 0 && at <= (most ?? int.MaxValue))
            {
                return soFar[..at];
            }

            if (length >= most)
            {
                return soFar;
            }
        }

        return text;
    }

    private sealed class ShoutingTokenizer : ITokenizer, IIncrementalDecoder
    {
        public int[] Encode(string text) => throw new NotSupportedException();

        public string Decode(int[] tokenIds) => throw new NotSupportedException("It has its own decoder.");

        public int GetVocabSize() => 256;

        public IIncrementalDecoder CreateIncrementalDecoder() => this;

        public string Append(int tokenId) => char.ToUpperInvariant((char)tokenId).ToString();

        public string Flush() => "!";
    }
}
