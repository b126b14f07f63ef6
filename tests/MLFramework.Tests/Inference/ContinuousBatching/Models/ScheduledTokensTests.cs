using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

public class ScheduledTokensTests
{
    private readonly Sequence _sequence = RequestQueue.SequenceOf(new Request(RequestId.New(), "abcdef", 5, CancellationToken.None));

    [Test]
    public void A_chunk_that_ends_before_the_prompt_does_yields_no_token()
    {
        var chunk = new ScheduledTokens(_sequence, 0, 4);
        Assert.That((chunk.Start, chunk.Count, chunk.End), Is.EqualTo((0, 4, 4)));
        Assert.That(chunk.ProducesToken, Is.False);
        Assert.That(chunk.IsPrefill);
        Assert.That(chunk.TokenIds.ToArray(), Is.EqualTo("abcd".Select(c => (int)c)));
    }

    [Test]
    public void The_chunk_that_reaches_the_end_of_the_prompt_yields_one()
    {
        var chunk = new ScheduledTokens(_sequence, 4, 2);
        Assert.That(chunk.ProducesToken);
        Assert.That(chunk.IsPrefill);
    }

    [Test]
    public void The_last_prompt_position_alone_is_still_prefill() =>
        Assert.That(new ScheduledTokens(_sequence, 5, 1).IsPrefill);

    [Test]
    public void A_decode_is_one_generated_position()
    {
        _sequence.AppendToken('g');
        var decode = new ScheduledTokens(_sequence, 6, 1);
        Assert.That(decode.IsPrefill, Is.False);
        Assert.That(decode.ProducesToken);
        Assert.That(decode.TokenIds.ToArray(), Is.EqualTo(new[] { (int)'g' }));
    }

    [Test]
    public void Recomputing_after_a_preemption_counts_as_prefill()
    {
        _sequence.AppendToken('g');
        _sequence.AppendToken('h');
        Assert.That(new ScheduledTokens(_sequence, 6, 2).IsPrefill);
    }
}
