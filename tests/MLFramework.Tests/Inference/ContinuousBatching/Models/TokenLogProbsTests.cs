using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

public class TokenLogProbsTests
{
    [Test]
    public void Log_probabilities_are_the_log_softmax_of_the_logits()
    {
        float[] logits = [0, MathF.Log(2), MathF.Log(5)];
        var result = TokenLogProbs.FromLogits(logits, tokenId: 1, top: 3);
        Assert.That(result.Chosen.TokenId, Is.EqualTo(1));
        Assert.That(result.Chosen.LogProb, Is.EqualTo(Math.Log(2 / 8.0)).Within(1e-6));
        Assert.That(result.Top.Select(t => t.TokenId), Is.EqualTo(new[] { 2, 1, 0 }));
        Assert.That(result.Top.Sum(t => Math.Exp(t.LogProb)), Is.EqualTo(1).Within(1e-6));
    }

    [Test]
    public void Large_logits_do_not_overflow()
    {
        var result = TokenLogProbs.FromLogits([3e38f, 3e38f, -3e38f], 0, 1);
        Assert.That(result.Chosen.LogProb, Is.EqualTo(Math.Log(0.5)).Within(1e-6));
    }

    [Test]
    public void Equal_logits_rank_by_id() =>
        Assert.That(TokenLogProbs.FromLogits(new float[10], 9, 3).Top.Select(t => t.TokenId), Is.EqualTo(new[] { 0, 1, 2 }));

    [TestCase(0, 0)]
    [TestCase(2, 2)]
    [TestCase(20, 4)]
    public void There_are_as_many_alternatives_as_asked_for_and_as_there_are_tokens(int top, int expected) =>
        Assert.That(TokenLogProbs.FromLogits(new float[4], 0, top).Top, Has.Count.EqualTo(expected));

    [Test]
    public void A_token_that_is_ruled_out_has_minus_infinity() =>
        Assert.That(TokenLogProbs.FromLogits([0, float.NegativeInfinity], 0, 2).Top[1].LogProb, Is.EqualTo(float.NegativeInfinity));

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    public void Logits_that_are_no_numbers_are_the_models_fault(float bad) =>
        Assert.That(() => TokenLogProbs.FromLogits([0, bad], 0, 1), Throws.TypeOf<ModelOutputException>());

    [TestCase(-1, 0)]
    [TestCase(2, 0)]
    [TestCase(0, -1)]
    public void A_token_outside_the_logits_and_a_negative_count_are_refused(int token, int top) =>
        Assert.That(() => TokenLogProbs.FromLogits([0, 0], token, top), Throws.TypeOf<ArgumentOutOfRangeException>());
}
